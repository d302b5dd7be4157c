namespace Rynxs.Kubernetes.Leases;

/// <summary>Settings of a <see cref="LeaderElector"/>.</summary>
public sealed record LeaderElectionOptions
{
    /// <summary>Namespace of the Lease.</summary>
    public required string Namespace { get; init; }

    /// <summary>Name of the Lease.</summary>
    public required string Name { get; init; }

    /// <summary>Who we are: unique among the candidates and among the starts of one, so that a restarted process is not taken for the one before.</summary>
    public required string Identity { get; init; }

    /// <summary>How long others wait after they saw a change of the lease before they take it. Whole seconds, 15 s unless told.</summary>
    public TimeSpan LeaseDuration { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>How long a leader goes on without having renewed. Shorter than <see cref="LeaseDuration"/>; 10 s unless told.</summary>
    public TimeSpan RenewDeadline { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Between attempts, to renew or to acquire; 2 s unless told.</summary>
    public TimeSpan RetryPeriod { get; init; } = TimeSpan.FromSeconds(2);

    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    public Random Random { get; init; } = Random.Shared;

    /// <summary>Fails where the durations cannot keep two leaders apart.</summary>
    public void Validate()
    {
        if (RetryPeriod <= TimeSpan.Zero || RetryPeriod * 1.2 >= RenewDeadline || RenewDeadline >= LeaseDuration)
        {
            throw new ArgumentException(
                $"leader election: retryPeriod ({RetryPeriod.TotalSeconds:0.###} s, and a fifth more) < renewDeadline ({RenewDeadline.TotalSeconds:0.###} s) < leaseDuration ({LeaseDuration.TotalSeconds:0.###} s) is due");
        }

        if (LeaseDuration.Ticks % TimeSpan.TicksPerSecond != 0)
        {
            throw new ArgumentException("leader election: leaseDuration is a whole number of seconds, as a Lease keeps it");
        }
    }
}

/// <summary>Why leadership ended.</summary>
public enum LeadershipEnd
{
    /// <summary>Given up on a stop.</summary>
    Released,

    /// <summary>Not renewed within the renew deadline.</summary>
    RenewalFailed,

    /// <summary>Another identity is in the lease.</summary>
    TakenOver,
}

/// <summary>One term of leadership.</summary>
/// <param name="Transitions">The lease's count of changes of holder, with this one.</param>
/// <param name="PreviousHolder">Who held it before; null when nobody did.</param>
public sealed record LeadershipTerm(long Transitions, string? PreviousHolder);
