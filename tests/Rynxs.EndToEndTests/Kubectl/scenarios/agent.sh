#!/usr/bin/env bash
# The original project's own manifest, applied as its README says.
source "$(dirname "$0")/lib.sh"
kubectl create namespace rynxs >/dev/null 2>&1 || true
kubectl delete -f "$EXAMPLES/agent.yaml" --ignore-not-found >/dev/null

says 'agent.universe.ai/my-agent created' kubectl apply -f - <"$EXAMPLES/agent.yaml"
# And as its README writes it, word for word.
says 'agent.universe.ai/my-agent unchanged' kubectl apply -f - <<EOF
apiVersion: universe.ai/v1alpha1
kind: Agent
metadata:
  name: my-agent
  namespace: rynxs
spec:
  role: sandbox
  image: python:3.11-slim
  resources:
    requests:
      memory: "256Mi"
      cpu: "100m"
EOF
says 'agent.universe.ai/my-agent unchanged' kubectl apply -f - <"$EXAMPLES/agent.yaml"
says 'my-agent' kubectl -n rynxs get agents
says 'NAMESPACE.*NAME' kubectl get ag -A -o wide
says '^sandbox$' kubectl -n rynxs get agent my-agent -o 'jsonpath={.spec.role}'
says '"kind": "Agent"' kubectl -n rynxs get agent/my-agent -o json
says 'kind: Agent' kubectl -n rynxs get agent.v1alpha1.universe.ai my-agent -o yaml
says '^agent.universe.ai/my-agent$' kubectl -n rynxs get agents -o name --field-selector metadata.name=my-agent
says 'my-agent +sandbox' kubectl -n rynxs get agents -o 'custom-columns=NAME:.metadata.name,ROLE:.spec.role'
says 'Spec:' kubectl -n rynxs describe agent my-agent
says 'KIND: +Agent' kubectl explain agents
says 'FIELD: role' kubectl explain agent.spec.role
says 'resources' kubectl explain agent.spec --recursive
refuses 1 'spec.role' kubectl -n rynxs patch agent my-agent --type merge -p '{"spec":{"role":"king"}}'
refuses 1 'unknown field|strict decoding' kubectl apply -f - <<YAML
apiVersion: universe.ai/v1alpha1
kind: Agent
metadata: {name: wrong, namespace: rynxs}
spec: {role: sandbox, rolle: x}
YAML
if on_rynxs; then
  says 'condition met' kubectl -n rynxs wait agent/my-agent --for=condition=Ready --timeout=60s
fi
says 'agent.universe.ai "my-agent" deleted' kubectl delete -f "$EXAMPLES/agent.yaml" --wait
refuses 1 'NotFound' kubectl -n rynxs get agent my-agent
