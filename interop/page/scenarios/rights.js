const { assert, scenario } = require('../harness');

async function enterAs(scene, tags) {
  const vhost = await scene.vhost();
  const name = await scene.user(tags);
  await scene.made('PUT', `permissions/${vhost}/${name}`, { configure: '', write: '', read: '.*' });
  await scene.login(name, 'secret');
  return { vhost, name };
}

const tabs = async (scene) => (await scene.page.getByRole('navigation', { name: 'Main' }).innerText()).split(/\s+/);

scenario('monitoring_user_sees_no_admin_actions', async (scene) => {
  const { vhost } = await enterAs(scene, 'monitoring');
  const connection = await scene.connect(vhost, scene.name('of guest'));
  await connection.createChannel();
  assert.deepEqual(await tabs(scene), ['Overview', 'Connections', 'Channels', 'Exchanges', 'Queues']);
  await scene.page.getByText('Memory alarm').waitFor();
  for (const where of ['users', 'vhosts', 'policies', 'limits', 'definitions', 'users/guest', 'vhosts/%2F']) {
    await scene.page.goto(`${scene.base}#/${where}`);
    await scene.page.getByText('This is for administrators.').waitFor();
    assert.equal(await scene.page.locator('main').getByRole('button').count(), 0, where);
  }
  await scene.page.keyboard.press('g');
  await scene.page.keyboard.press('a');
  await scene.go`connections`;
  await scene.row(vhost).getByRole('link').click();
  await scene.row('(1)').waitFor();
  assert.equal(await scene.page.getByRole('button', { name: 'Close this connection' }).count(), 0);
});

scenario('policymaker_sees_policies_and_no_operator_policies_to_change', async (scene) => {
  const { vhost } = await enterAs(scene, 'policymaker');
  assert.equal((await tabs(scene)).at(-1), 'Admin');
  await scene.page.getByRole('link', { name: 'Admin' }).click();
  assert.equal(await scene.page.getByRole('navigation', { name: 'Admin' }).innerText(), 'Policies');
  const set = await scene.unfold('Set a policy');
  assert.deepEqual(await set.getByLabel('Kind').locator('option').allInnerTexts(), ['policy']);
  assert.deepEqual(await set.getByLabel('Vhost').locator('option').allInnerTexts(), [vhost]);
  await set.getByLabel('Name').fill('mine');
  await set.getByLabel('Pattern').fill('.');
  await set.getByLabel('Definition').fill('max-length = 1');
  await set.getByRole('button', { name: 'Set policy' }).click();
  await scene.row('mine').waitFor();
});

scenario('plain_user_is_refused_with_the_reason', async (scene) => {
  const { vhost } = await enterAs(scene, 'management');
  const queue = await scene.queue(vhost);
  assert.equal(await scene.page.getByText('Memory alarm').count(), 0);
  await scene.go`queues/${vhost}/${queue}`;
  scene.page.provoked.push(401, 403);
  await scene.page.getByRole('button', { name: 'Delete this queue' }).click();
  await scene.answer('Delete it');
  await scene.page.locator('.notice.bad').waitFor();
  await scene.untilReady(vhost, queue, 0);
});
