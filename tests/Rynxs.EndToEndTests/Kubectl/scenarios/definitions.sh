#!/usr/bin/env bash
# A CustomResourceDefinition and its objects.
source "$(dirname "$0")/lib.sh"
kubectl create namespace "$ns" >/dev/null
kubectl delete crd gadgets.example.test --ignore-not-found --wait >/dev/null
cat >"$work/crd.yaml" <<YAML
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.test}
spec:
  group: example.test
  scope: Namespaced
  names: {plural: gadgets, singular: gadget, kind: Gadget, shortNames: [gd]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer, minimum: 1, description: How big it is}
              colour: {type: string, default: red}
          status: {type: object, properties: {phase: {type: string}}}
YAML
says 'created' kubectl apply -f "$work/crd.yaml"
says 'condition met' kubectl wait crd/gadgets.example.test --for=condition=Established --timeout=30s
gadget() { printf 'apiVersion: example.test/v1\nkind: Gadget\nmetadata: {name: g, namespace: %s}\nspec: {%s}\n' "$ns" "$1"; }
gadget 'size: 3' >"$work/g.yaml"
for ((i = 0; i < 50; i++)); do kubectl apply -f "$work/g.yaml" >"$work/out" 2>&1 && break || sleep 0.2; done
says 'gadget.example.test/g created' cat "$work/out"
says 'NAME +SIZE.*g +3' k get gadgets
says '^red$' k get gd g -o 'jsonpath={.spec.colour}'
gadget 'size: 0' >"$work/bad.yaml"
refuses 1 'should be greater than or equal to 1' kubectl apply -f "$work/bad.yaml"
gadget 'size: 3, siez: 4' >"$work/bad.yaml"
refuses 1 'unknown field|strict decoding' kubectl apply -f "$work/bad.yaml"
says 'patched' k patch gadget g --subresource=status --type=merge -p '{"status":{"phase":"Up"}}'
says 'condition met' k wait gadget/g --for='jsonpath={.status.phase}=Up' --timeout=10s
says 'How big it is' kubectl explain gadget.spec.size
says 'deleted' kubectl delete crd gadgets.example.test --wait --timeout=60s
refuses 1 "doesn't have a resource type|not find" k get gadgets
