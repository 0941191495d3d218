const { assert, scenario, until } = require('../harness');

const COUNT = 10_000;
const number = (index) => String(index).padStart(5, '0');
const names = (scene) => scene.page.locator('tbody tr td:nth-child(2)').allInnerTexts();

scenario('ten_thousand_queues_are_filtered_sorted_and_paged', async (scene) => {
  const vhost = await scene.vhost();
  const queues = Array.from({ length: COUNT }, (_, index) => ({
    vhost, name: `many.${number(index)}`, durable: false, auto_delete: false, arguments: {},
  }));
  await scene.made('POST', 'definitions', { queues });
  for (const body of ['a', 'b', 'c']) await scene.publish(vhost, 'many.07777', body);

  const asked = [];
  scene.page.on('request', (request) => request.url().includes('/api/queues?') && asked.push(new URL(request.url())));
  await scene.login();
  await scene.go`queues`;
  const filter = scene.page.getByLabel('Filter by name');
  await filter.fill('many.');
  const said = (text) => until(async () => (await scene.page.locator('.tools').innerText()).includes(text), `it says ${text}`);
  await said('page 1 of 100');
  assert.equal((await names(scene)).length, 100);

  await scene.page.getByRole('button', { name: 'Name' }).click();
  await until(async () => (await names(scene))[0] === 'many.00000', 'they are sorted');
  await scene.page.getByRole('button', { name: 'Name' }).click();
  await until(async () => (await names(scene))[0] === 'many.09999', 'they are sorted from the end');
  await scene.page.getByRole('button', { name: 'Next page' }).click();
  await said('page 2 of 100');
  await until(async () => (await names(scene))[0] === 'many.09899', 'the second page is there');

  await filter.fill('many.077');
  await said('100 of');
  assert.ok((await names(scene)).every((name) => name.startsWith('many.077')));
  await scene.page.getByLabel('regex').check();
  await filter.fill('^many\\.(00007|00070)$');
  await said('2 of');
  assert.deepEqual(await names(scene), ['many.00070', 'many.00007']);
  await filter.fill('no such queue');
  await scene.page.getByText('No match.').waitFor();

  await scene.page.getByLabel('regex').uncheck();
  await filter.fill('many.');
  await scene.page.getByRole('button', { name: 'Ready' }).click();
  await until(async () => (await names(scene))[0] === 'many.07777', 'the longest is first');
  assert.ok(asked.every((url) => url.searchParams.get('page_size') === '100'), 'whole lists were asked for');
});

scenario('columns_are_chosen_and_remembered', async (scene) => {
  const vhost = await scene.vhost();
  const queue = await scene.queue(vhost);
  await scene.login();
  await scene.go`queues`;
  await scene.row(queue).waitFor();
  const head = async () => (await scene.page.locator('thead').innerText()).split(/\s+/);
  assert.equal((await head()).includes('Memory'), false);
  await scene.page.getByText('Columns').click();
  await scene.page.getByLabel('Memory').check();
  await scene.page.getByLabel('Unacked').uncheck();
  await scene.page.reload();
  await scene.row(queue).waitFor();
  assert.equal((await head()).includes('Memory'), true);
  assert.equal((await head()).includes('Unacked'), false);
});

scenario('add_and_delete_a_queue', async (scene) => {
  const vhost = await scene.vhost();
  const name = scene.name('queue / with ? parts#');
  await scene.login();
  await scene.go`queues`;
  const form = await scene.unfold('Add a queue');
  await form.getByLabel('Vhost').selectOption(vhost);
  await form.getByLabel('Name').fill(name);
  await form.getByLabel('Arguments').fill('x-message-ttl = 60000\nx-dead-letter-exchange = amq.fanout');
  await form.getByRole('button', { name: 'Add queue' }).click();
  await scene.notice('The queue is there.');
  const where = `queues/${encodeURIComponent(vhost)}/${encodeURIComponent(name)}`;
  assert.deepEqual((await scene.api('GET', where)).arguments, { 'x-message-ttl': 60000, 'x-dead-letter-exchange': 'amq.fanout' });

  scene.page.provoked.push(400);
  await form.getByLabel('Arguments').fill('x-message-ttl = soon');
  await form.getByRole('button', { name: 'Add queue' }).click();
  await scene.notice("inequivalent arg 'x-message-ttl'");
  await scene.row(name).getByRole('link').click();
  await scene.page.getByRole('heading', { name }).waitFor();
  await scene.page.getByRole('button', { name: 'Delete this queue' }).click();
  await scene.answer('Delete it');
  await scene.page.getByRole('heading', { name: 'Queues' }).waitFor();
  assert.equal(await scene.api('GET', where), 404);
});
