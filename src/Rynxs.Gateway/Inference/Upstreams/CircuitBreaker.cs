namespace Rynxs.Gateway.Inference.Upstreams;

/// <summary>
/// Keeps calls away from an upstream that fails: after <see cref="Threshold"/> failures in a row it is left alone for <see cref="Pause"/>, then one call tries it.
/// </summary>
internal sealed class CircuitBreaker(TimeProvider timeProvider)
{
    public const int Threshold = 5;
    public static readonly TimeSpan Pause = TimeSpan.FromSeconds(15);

    private readonly Lock _lock = new();
    private int _failures;
    private DateTimeOffset _openUntil;
    private bool _trying;

    /// <summary>Whether a call may try. One that may must report its end.</summary>
    public bool TryEnter()
    {
        lock (_lock)
        {
            if (_failures < Threshold)
            {
                return true;
            }

            if (_trying || timeProvider.GetUtcNow() < _openUntil)
            {
                return false;
            }

            return _trying = true;
        }
    }

    public bool IsOpen
    {
        get
        {
            lock (_lock)
            {
                return _failures >= Threshold;
            }
        }
    }

    /// <summary>It answered, if only to say no.</summary>
    public void Succeeded()
    {
        lock (_lock)
        {
            (_failures, _trying) = (0, false);
        }
    }

    /// <summary>It did not answer, or with a fault of its own.</summary>
    public void Failed()
    {
        lock (_lock)
        {
            (_failures, _trying) = (_failures + 1, false);
            if (_failures >= Threshold)
            {
                _openUntil = timeProvider.GetUtcNow() + Pause;
            }
        }
    }

    /// <summary>The call ended without telling anything of the upstream.</summary>
    public void Left()
    {
        lock (_lock)
        {
            _trying = false;
        }
    }
}
