using Rynxs.Operator.Agents;

namespace Rynxs.Server.Tests.Control;

public sealed class RetryBackoffTests
{
    [Theory]
    [InlineData(1, 0.5, 1)]
    [InlineData(2, 1, 2)]
    [InlineData(5, 8, 16)]
    [InlineData(1000, 150, 300)]
    public void Delays_double_up_to_the_cap_and_are_spread_over_their_upper_half(int failures, double least, double most)
    {
        RetryBackoff.Default.After(failures, 0).TotalSeconds.ShouldBe(least);
        RetryBackoff.Default.After(failures, 1).TotalSeconds.ShouldBe(most);
    }
}
