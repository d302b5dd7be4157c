using System.Globalization;
using Rynxs.ResourceServer.Bench;

// Rynxs.ResourceServer.Bench [--objects N] [--watchers N] [--seconds N] [--no-peer]
// Measures our server and, where their executables are found, kube-apiserver with etcd: the same requests, in the same run, each in a process of its own.
if (args is ["serve", string directory])
    return await OurServer.ServeAsync(directory);
if (args is ["fill", string into, string count])
    return await OurServer.FillAsync(into, int.Parse(count, CultureInfo.InvariantCulture));

int Option(string name, int standard)
{
    int at = Array.IndexOf(args, name);
    return at >= 0 && at + 1 < args.Length ? int.Parse(args[at + 1], CultureInfo.InvariantCulture) : standard;
}

Workload workload = new(Objects: Option("--objects", 100_000), Watchers: Option("--watchers", 1000), Seconds: Option("--seconds", 10));
Console.WriteLine($"{Environment.ProcessorCount} processors; the bench and its servers share them.");
List<Result> results = [];
await using (Server ours = await OurServer.StartAsync())
    results.Add(await workload.RunAsync("rynxs", ours));
results[0] = results[0] with { Start = await OurServer.MeasureStartAsync(workload.Objects) };
Console.WriteLine(Result.Table(results)); // Before the peer, whose start may fail.

if (args.Contains("--no-peer"))
{
    Console.WriteLine("No peer was asked for.");
}
else if (KubernetesServer.Find() is { } executables)
{
    await using Server peer = await KubernetesServer.StartAsync(executables);
    results.Add(await workload.RunAsync("kube-apiserver + etcd", peer));
}
else
{
    Console.WriteLine("No peer: neither $KUBEBUILDER_ASSETS nor /usr/local/kubebuilder/bin has kube-apiserver and etcd.");
}

Console.WriteLine(Result.Table(results));
return results.All(result => result.EventsLost == 0) ? 0 : 1;
