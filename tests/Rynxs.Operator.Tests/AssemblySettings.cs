using Rynxs.Kubernetes.Tests.Kit;

// One server of each kind for all tests: each has a namespace of its own, and its operators watch that namespace alone.
[assembly: AssemblyFixture(typeof(OurCluster))]
[assembly: AssemblyFixture(typeof(RealCluster))]
