// Each test starts real servers and sandboxes; side by side they would measure each other.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
