namespace Rynxs.ResourceServer.Applying;

/// <summary>
/// Fits a set of owned fields to a schema that has changed since: who owned fields below a place that is one whole now owns the whole.
/// </summary>
internal static class SetReconciliation
{
    public static FieldSet Reconcile(FieldSet owned, TypeRef type)
    {
        FieldSet wholes = new();
        Visit(owned, isMemberAlone: false, type, [], wholes);
        return wholes.IsEmpty ? owned : owned.RecursiveDifference(wholes).Union(wholes);
    }

    private static void Visit(FieldSet? owned, bool isMemberAlone, TypeRef type, List<PathElement> path, FieldSet wholes)
    {
        Atom atom = type.Resolve();
        switch (atom.Form)
        {
            case AtomForm.Map when type.IsFreeForm:
                break;
            case AtomForm.Map when atom.IsAtomicMap:
                if (!isMemberAlone && owned is { IsEmpty: false })
                    wholes.Insert(path);
                break;
            case AtomForm.Map:
                foreach ((PathElement element, bool isMember, FieldSet? below) in owned?.Entries ?? [])
                {
                    TypeRef field = element.Kind == PathElementKind.Field ? atom.FieldType(element.Text) : atom.ElementType;
                    if (field.Exists)
                        VisitChild(element, isMember, below, field, path, wholes);
                }

                break;
            case AtomForm.List when !atom.IsAssociativeList:
                if (!isMemberAlone)
                    wholes.Insert(path);
                break;
            case AtomForm.List:
                foreach ((PathElement element, bool isMember, FieldSet? below) in owned?.Entries ?? [])
                    VisitChild(element, isMember, below, atom.ItemType, path, wholes);
                break;
        }
    }

    private static void VisitChild(PathElement element, bool isMember, FieldSet? below, TypeRef type, List<PathElement> path, FieldSet wholes)
    {
        path.Add(element);
        Visit(below, isMember && below is null, type, path, wholes);
        path.RemoveAt(path.Count - 1);
    }
}
