#!/usr/bin/env bash
# Who am I, what may I do, and tokens of service accounts.
source "$(dirname "$0")/lib.sh"
kubectl create namespace "$ns" >/dev/null

says 'Username' kubectl auth whoami
says '^yes' k auth can-i create configmaps
says '^yes' kubectl auth can-i '*' '*'
says '^yes' kubectl auth can-i get /version
says 'Resources' k auth can-i --list
k create serviceaccount robot >/dev/null
says '^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$' k create token robot
refuses 1 'NotFound|not found' k create token nobody
refuses 1 'less than 10 minutes' k create token robot --duration=60s
token=$(k create token robot --duration=20m)
says "system:serviceaccount:$ns:robot" kubectl --token="$token" auth whoami
refuses 1 'orbidden|NotFound|no' kubectl --token="$token" -n "$ns" auth can-i create secrets
refuses 1 'Unauthorized|logged in' kubectl --token="${token%????}AAAA" auth whoami
other=$(k create token robot --audience=elsewhere)
refuses 1 'Unauthorized|logged in' kubectl --token="$other" auth whoami
if on_rynxs; then
  says 'annotated' k annotate serviceaccount robot universe.ai/roles=operator
  says '^yes' kubectl --token="$token" -n "$ns" auth can-i create configmaps
  says 'configmap/by-robot created' kubectl --token="$token" -n "$ns" create configmap by-robot
  refuses 1 'NotFound' kubectl --token="$token" -n default get configmap by-robot
  refuses 1 'NotFound|orbidden' kubectl --token="$token" -n "$ns" get secret none
  refuses 1 'records name who acted' k create configmap x --as=user:ada
fi
if on_rynxs; then
  # At once; a real API server remembers a token for some seconds.
  k delete serviceaccount robot >/dev/null
  refuses 1 'Unauthorized|logged in' kubectl --token="$token" auth whoami
fi
