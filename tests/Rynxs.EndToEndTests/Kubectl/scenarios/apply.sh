#!/usr/bin/env bash
# Client-side and server-side apply, conflicts, force, diff, dry runs, and what a manifest no longer names.
source "$(dirname "$0")/lib.sh"
kubectl create namespace "$ns" >/dev/null
manifest() { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app, namespace: %s}\ndata: {%s}\n' "$ns" "$1"; }

manifest 'a: "1", b: "2"' >"$work/m.yaml"
refuses 1 '\+  a: "1"' kubectl diff -f "$work/m.yaml"
says 'configmap/app created' kubectl apply -f "$work/m.yaml"
says '^$' kubectl diff -f "$work/m.yaml"
says 'unchanged' kubectl apply -f "$work/m.yaml"
manifest 'a: "9"' >"$work/m.yaml"
refuses 1 '-  b: "2"' kubectl diff -f "$work/m.yaml"
says 'configured \(server dry run\)' kubectl apply -f "$work/m.yaml" --dry-run=server
says '"b":"2"' k get cm app -o 'jsonpath={.data}'
says 'configured' kubectl apply -f "$work/m.yaml"
lacks '"b"' k get cm app -o 'jsonpath={.data}'

manifest 'a: "server", c: "3"' >"$work/s.yaml"
says 'serverside-applied' kubectl apply --server-side --force-conflicts -f "$work/s.yaml"
says 'serverside-applied' kubectl apply --server-side -f "$work/s.yaml"
manifest 'a: "other"' >"$work/o.yaml"
refuses 1 'conflict.*\.data\.a' kubectl apply --server-side --field-manager=other -f "$work/o.yaml"
says '^server$' k get cm app -o 'jsonpath={.data.a}'
says 'serverside-applied' kubectl apply --server-side --field-manager=other --force-conflicts -f "$work/o.yaml"
says '^other 3$' k get cm app -o 'jsonpath={.data.a} {.data.c}'
says 'manager: other' k get cm app -o yaml --show-managed-fields
manifest 'c: "3"' >"$work/s.yaml"
says 'serverside-applied' kubectl apply --server-side -f "$work/s.yaml"
says '^other 3$' k get cm app -o 'jsonpath={.data.a} {.data.c}'
manifest '' >"$work/s.yaml"
says 'serverside-applied' kubectl apply --server-side -f "$work/s.yaml"
lacks '"c"' k get cm app -o 'jsonpath={.data}'
says 'serverside-applied \(server dry run\)' kubectl apply --server-side --dry-run=server -f "$work/s.yaml"
refuses 1 'unknown field|strict decoding' kubectl apply -f - <<YAML
apiVersion: v1
kind: ConfigMap
metadata: {name: app, namespace: $ns}
dataa: {x: "1"}
YAML
