// The client library of Kubernetes for JavaScript, unmodified: informer, patch, leader election. Reads KUBECONFIG; prints a line for each check.
import * as k8s from '@kubernetes/client-node';
import { setTimeout as sleep } from 'node:timers/promises';

const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const custom = config.makeApiClient(k8s.CustomObjectsApi);
const leases = config.makeApiClient(k8s.CoordinationV1Api);
const namespace = `t-node-${process.pid}`;

const check = (what, holds) => {
  if (!holds) throw new Error(`FAILED ${what}`);
  console.log(`ok ${what}`);
};
const until = async (what, holds) => {
  for (let i = 0; i < 300 && !holds(); i++) await sleep(50);
  check(what, holds());
};

await core.createNamespace({ body: { metadata: { name: namespace } } });
try {
  const seen = [];
  const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, () => core.listNamespacedConfigMap({ namespace }));
  for (const event of ['add', 'update', 'delete']) informer.on(event, (item) => seen.push(`${event} ${item.metadata.name}`));
  informer.on('error', (error) => seen.push(`error ${error.message}`));
  await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'before' }, data: { a: '1' } } });
  await informer.start();
  await until('an informer tells what was there', () => seen.includes('add before'));
  await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'after' }, data: { a: '1' } } });
  await until('and what comes', () => seen.includes('add after'));

  const merged = await core.patchNamespacedConfigMap(
    { name: 'after', namespace, body: { data: { a: '2' } } }, k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch));
  check('merge patch', merged.data.a === '2');
  await until('and what changes', () => seen.includes('update after'));
  const patched = await core.patchNamespacedConfigMap({ name: 'after', namespace, body: [{ op: 'replace', path: '/data/a', value: '3' }] });
  check('JSON patch', patched.data.a === '3');
  const strategic = await core.patchNamespacedConfigMap(
    { name: 'after', namespace, body: { data: { b: '4' } } }, k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.StrategicMergePatch));
  check('strategic merge patch', strategic.data.a === '3' && strategic.data.b === '4');
  await core.deleteNamespacedConfigMap({ name: 'after', namespace });
  await until('and what goes', () => seen.includes('delete after'));
  check('and no errors', !seen.some((line) => line.startsWith('error')));
  await informer.stop();

  const agent = { apiVersion: 'universe.ai/v1alpha1', kind: 'Agent', metadata: { name: 'from-node', namespace }, spec: { role: 'worker' } };
  const place = { group: 'universe.ai', version: 'v1alpha1', namespace, plural: 'agents' };
  const created = await custom.createNamespacedCustomObject({ ...place, body: agent });
  check('an agent is made', created.metadata.uid.length > 0);
  const refused = await custom.createNamespacedCustomObject({ ...place, body: agent }).then(() => null, (error) => error);
  check('and refused a second time with a Status', refused?.code === 409 && JSON.parse(refused.body).reason === 'AlreadyExists');
  await custom.deleteNamespacedCustomObject({ ...place, name: 'from-node' });

  // Leader election as client-go does it: who holds the lease, who takes it when it has ended, and that a stale holder cannot write.
  const lease = (holder, transitions) => ({
    metadata: { name: 'leader' },
    spec: { holderIdentity: holder, leaseDurationSeconds: 1, leaseTransitions: transitions, acquireTime: new k8s.V1MicroTime(), renewTime: new k8s.V1MicroTime() },
  });
  const first = await leases.createNamespacedLease({ namespace, body: lease('one', 0) });
  const renewed = await leases.replaceNamespacedLease({ name: 'leader', namespace, body: { ...lease('one', 0), metadata: first.metadata } });
  check('the holder renews', renewed.metadata.resourceVersion !== first.metadata.resourceVersion);
  const stale = await leases.replaceNamespacedLease({ name: 'leader', namespace, body: { ...lease('two', 1), metadata: first.metadata } }).then(() => null, (error) => error);
  check('a stale version loses with a conflict', stale?.code === 409);
  const taken = await leases.replaceNamespacedLease({ name: 'leader', namespace, body: { ...lease('two', 1), metadata: renewed.metadata } });
  check('another takes it over', taken.spec.holderIdentity === 'two');
  const racers = await Promise.allSettled(['a', 'b', 'c', 'd', 'e'].map((holder) =>
    leases.replaceNamespacedLease({ name: 'leader', namespace, body: { ...lease(holder, 2), metadata: taken.metadata } })));
  check('of five at once exactly one wins', racers.filter((racer) => racer.status === 'fulfilled').length === 1);
} finally {
  await core.deleteNamespace({ name: namespace });
}

process.exit(0);
