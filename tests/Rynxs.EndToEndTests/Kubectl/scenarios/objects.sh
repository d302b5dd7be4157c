#!/usr/bin/env bash
# Core kinds: create, read in every form, label, annotate, patch in every type, edit, replace, watch, wait, delete.
source "$(dirname "$0")/lib.sh"

says "namespace/$ns created" kubectl create namespace "$ns"
says 'Active' kubectl get namespace "$ns"
says 'configmap/one created' k create configmap one --from-literal=a=1 --from-literal=b=2
says 'secret/s created' k create secret generic s --from-literal=password=hidden
says 'serviceaccount/robot created' k create serviceaccount robot
refuses 1 'already exists' k create configmap one
refuses 1 'NotFound' k get configmap none

says '^1$' k get configmap one -o 'jsonpath={.data.a}'
says 'NAME +DATA +AGE.*one +2 ' k get cm
says 'one +2 ' k get configmap one -o wide
says 'configmap/one' k get cm -o name
says 'configmap/one.*serviceaccount/robot' k get cm,sa -o name
says 'Opaque +1' k get secrets
says 'password: +6 bytes' k describe secret s
lacks 'hidden' k get secret s -o yaml

says 'labeled' k label configmap one tier=back env=test
says 'one' k get cm -l 'tier=back,env in (test,prod)' -o name
lacks 'configmap/one' k get cm -l tier!=back -o name
says 'tier=back' k get cm one --show-labels
says 'unlabeled|labeled' k label configmap one env-
refuses 1 "already has a value|overwrite" k label configmap one tier=front
says 'labeled' k label configmap one tier=front --overwrite
says 'annotated' k annotate configmap one note='two words'
says 'two words' k get cm one -o 'jsonpath={.metadata.annotations.note}'

says 'patched' k patch configmap one --type merge -p '{"data":{"a":"merge","b":null}}'
says '^merge,$' k get cm one -o 'jsonpath={.data.a},{.data.b}'
says 'patched' k patch configmap one --type json -p '[{"op":"test","path":"/data/a","value":"merge"},{"op":"replace","path":"/data/a","value":"json"},{"op":"add","path":"/data/c","value":"3"}]'
says '^json 3$' k get cm one -o 'jsonpath={.data.a} {.data.c}'
refuses 1 'request is invalid|testing value' k patch configmap one --type json -p '[{"op":"test","path":"/data/a","value":"other"}]'
says 'patched' k patch configmap one -p '{"data":{"a":"strategic"}}'
says '^strategic$' k get cm one -o 'jsonpath={.data.a}'
says 'patched \(no change\)' k patch configmap one -p '{"data":{"a":"strategic"}}'

cat >"$work/editor" <<'SH'
#!/bin/sh
sed -i 's/a: strategic/a: edited/' "$1"
SH
chmod +x "$work/editor"
says 'configmap/one edited' env KUBE_EDITOR="$work/editor" kubectl -n "$ns" edit configmap one
says '^edited$' k get cm one -o 'jsonpath={.data.a}'

k get configmap one -o yaml >"$work/stale.yaml"
says 'patched' k patch configmap one --type merge -p '{"data":{"a":"newer"}}'
refuses 1 'the object has been modified' k replace -f "$work/stale.yaml"
k create configmap one --from-literal=a=replaced --dry-run=client -o yaml >"$work/new.yaml"
says 'replaced' k replace -f "$work/new.yaml"
says 'configmap/dry created \(server dry run\)' k create configmap dry --dry-run=server
refuses 1 'NotFound' k get configmap dry

k get configmaps --watch --output-watch-events >"$work/watch" 2>&1 &
children+=($!)
eventually 'ADDED +one' "$work/watch"
k create configmap watched --from-literal=x=1 >/dev/null
eventually 'ADDED +watched' "$work/watch"
k label configmap watched seen=yes >/dev/null
eventually 'MODIFIED +watched' "$work/watch"
k delete configmap watched >/dev/null
eventually 'DELETED +watched' "$work/watch"
[[ $(grep -c '^EVENT' "$work/watch") -eq 1 ]] || fail 'the header of a watch comes once' "$(cat "$work/watch")"

says 'condition met' k wait configmap/one --for='jsonpath={.data.a}=replaced' --timeout=10s
refuses 1 'timed out' k wait configmap/one --for='jsonpath={.data.a}=other' --timeout=1s
k create configmap gone >/dev/null
(sleep 0.5 && k delete configmap gone >/dev/null) &
children+=($!)
says 'condition met' k wait configmap/gone --for=delete --timeout=15s

says 'configmap "one" deleted' k delete configmap one --wait
for name in x y z; do k create configmap "$name" >/dev/null && k label configmap "$name" batch=1 >/dev/null; done
says '"x" deleted.*"y" deleted.*"z" deleted' k delete configmap -l batch=1
lacks 'configmap/[xyz]' k get cm -o name
# A namespace ends by its controller, which a lone API server does not have.
if on_rynxs; then says "namespace \"$ns\" deleted" kubectl delete namespace "$ns" --wait --timeout=60s; fi
