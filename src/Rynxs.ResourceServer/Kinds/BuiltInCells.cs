using System.Globalization;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;
using static Rynxs.ResourceServer.Kinds.BuiltInColumns;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>Cells of pods.</summary>
internal static class PodCells
{
    public static string Ready(JsonObject pod)
    {
        int ready = Items(pod["status"]?["containerStatuses"]).Count(status => status["ready"].Flag() is true);
        return $"{ready}/{Count(pod["spec"]?["containers"])}";
    }

    public static string Status(JsonObject pod)
    {
        if (pod["metadata"]?["deletionTimestamp"] is not null)
            return "Terminating";
        string phase = pod["status"]?["reason"].Text() is { Length: > 0 } reason ? reason : pod["status"]?["phase"].Text() ?? "Unknown";
        foreach (JsonObject container in Items(pod["status"]?["containerStatuses"]).Reverse())
        {
            JsonNode? state = container["state"];
            if (state?["waiting"]?["reason"].Text() is { Length: > 0 } waiting)
                phase = waiting;
            else if (state?["terminated"]?["reason"].Text() is { Length: > 0 } terminated)
                phase = terminated;
            else if (state?["terminated"] is JsonObject ended)
                phase = ended["signal"].TryInteger(out long signal) && signal != 0 ? $"Signal:{signal}" : $"ExitCode:{JsonScalars.Scalar(ended["exitCode"])}";
        }

        return phase;
    }

    public static string Restarts(JsonObject pod, DateTimeOffset now)
    {
        long restarts = 0;
        string? last = null;
        foreach (JsonObject container in Items(pod["status"]?["containerStatuses"]))
        {
            restarts += container["restartCount"].TryInteger(out long count) ? count : 0;
            if (container["lastState"]?["terminated"]?["finishedAt"].Text() is { } finished && string.CompareOrdinal(finished, last) > 0)
                last = finished;
        }

        return restarts > 0 && last is not null ? $"{restarts} ({Ages.Since(last, now)} ago)" : restarts.ToString(CultureInfo.InvariantCulture);
    }

    public static string ReadinessGates(JsonObject pod)
    {
        JsonObject[] gates = [.. Items(pod["spec"]?["readinessGates"])];
        if (gates.Length == 0)
            return "<none>";
        int open = gates.Count(gate => Items(pod["status"]?["conditions"])
            .Any(condition => condition["type"].Text() == gate["conditionType"].Text() && condition["status"].Text() == "True"));
        return $"{open}/{gates.Length}";
    }
}

/// <summary>Cells of what gives addresses.</summary>
internal static class ServiceCells
{
    public static string ExternalAddress(JsonObject service)
    {
        string external = string.Join(',', Texts(service["spec"]?["externalIPs"]));
        switch (service["spec"]?["type"].Text())
        {
            case "ExternalName":
                return service["spec"]?["externalName"].Text() ?? "";
            case "LoadBalancer":
                string balancer = LoadBalancer(service);
                string all = string.Join(',', new[] { balancer, external }.Where(part => part.Length > 0));
                return all.Length > 0 ? all : "<pending>";
            default:
                return external.Length > 0 ? external : "<none>";
        }
    }

    public static string LoadBalancer(JsonObject document) =>
        string.Join(',', Items(document["status"]?["loadBalancer"]?["ingress"]).Select(entry => entry["ip"].Text() ?? entry["hostname"].Text() ?? ""));

    public static string Ports(JsonObject service)
    {
        string ports = string.Join(',', Items(service["spec"]?["ports"]).Select(port =>
        {
            string node = port["nodePort"].TryInteger(out long number) && number > 0 ? $":{number}" : "";
            return $"{JsonScalars.Scalar(port["port"])}{node}/{port["protocol"].Text()}";
        }));
        return ports.Length > 0 ? ports : "<none>";
    }

    public static string Endpoints(JsonObject endpoints)
    {
        const int Shown = 3;
        List<string> all = [];
        foreach (JsonObject subset in Items(endpoints["subsets"]))
        {
            JsonObject[] ports = [.. Items(subset["ports"])];
            foreach (JsonObject address in Items(subset["addresses"]))
            {
                string ip = address["ip"].Text() ?? "";
                all.AddRange(ports.Length == 0 ? [ip] : ports.Select(port => $"{ip}:{JsonScalars.Scalar(port["port"])}"));
            }
        }

        if (all.Count == 0)
            return "<none>";
        return all.Count > Shown ? $"{string.Join(',', all.Take(Shown))} + {all.Count - Shown} more..." : string.Join(',', all);
    }

    public static string IntOrString(JsonNode value) => value.Text() ?? JsonScalars.Scalar(value);
}

/// <summary>Cells of jobs.</summary>
internal static class WorkloadCells
{
    public static string JobStatus(JsonObject job)
    {
        JsonObject[] conditions = [.. Items(job["status"]?["conditions"]).Where(condition => condition["status"].Text() == "True")];
        if (Has("Complete"))
            return "Complete";
        if (Has("Failed"))
            return "Failed";
        if (job["metadata"]?["deletionTimestamp"] is not null)
            return "Terminating";
        if (Has("Suspended"))
            return "Suspended";
        if (Has("FailureTarget"))
            return "FailureTarget";
        return Has("SuccessCriteriaMet") ? "SuccessCriteriaMet" : "Running";

        bool Has(string type) => conditions.Any(condition => condition["type"].Text() == type);
    }

    public static string Completions(JsonObject job)
    {
        string succeeded = job["status"]?["succeeded"] is { } number ? JsonScalars.Scalar(number) : "0";
        if (job["spec"]?["completions"] is { } completions)
            return $"{succeeded}/{JsonScalars.Scalar(completions)}";
        long parallelism = job["spec"]?["parallelism"].TryInteger(out long given) is true ? given : 0;
        return parallelism > 1 ? $"{succeeded}/1 of {parallelism}" : $"{succeeded}/1";
    }

    public static string Duration(JsonObject job, DateTimeOffset now)
    {
        if (job["status"]?["startTime"].Text() is not { } start)
            return "";
        return job["status"]?["completionTime"].Text() is { } end
            && DateTimeOffset.TryParse(end, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset ended)
            ? Ages.Since(start, ended)
            : Ages.Since(start, now);
    }
}
