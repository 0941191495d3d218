const { assert, scenario, until } = require('../harness');

const focused = (scene) => scene.page.evaluate(() => {
  const { tagName, textContent, ariaLabel } = document.activeElement;
  return `${tagName} ${ariaLabel ?? textContent}`;
});

scenario('keyboard_only', async (scene) => {
  const vhost = await scene.vhost();
  const name = scene.name('queue');
  const { keyboard } = scene.page;
  // The first field has the focus.
  await scene.page.goto(scene.base);
  await until(async () => (await focused(scene)).startsWith('INPUT'), 'the first field is focused');
  await keyboard.type('guest');
  await keyboard.press('Tab');
  await keyboard.type('guest');
  await keyboard.press('Enter');
  await scene.page.getByRole('heading', { name: 'Overview' }).waitFor();

  // The order of tabs is that of reading, and what has the focus is marked.
  await scene.page.reload();
  await scene.page.getByRole('heading', { name: 'Overview' }).waitFor();
  const order = [];
  for (let step = 0; step < 10; step += 1) {
    await keyboard.press('Tab');
    order.push(await focused(scene));
    const outline = await scene.page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(outline, 'none', order.at(-1));
  }
  const expected = ['A Skip to content', 'A leveret', 'A Overview', 'A Connections', 'A Channels', 'A Exchanges', 'A Queues', 'A Admin', 'BUTTON Light or dark', 'BUTTON Log out'];
  assert.deepEqual(order, expected);

  for (const [key, title] of [['c', 'Connections'], ['h', 'Channels'], ['e', 'Exchanges'], ['a', 'Admin'], ['o', 'Overview'], ['q', 'Queues']]) {
    await keyboard.press('g');
    await keyboard.press(key);
    await scene.page.getByRole('heading', { name: title, level: 1 }).waitFor();
  }

  // A queue, without a mouse: add, find, open, delete.
  const press = async (locator, key) => {
    await locator.focus();
    await keyboard.press(key);
  };
  await press(scene.page.locator('summary', { hasText: 'Add a queue' }), 'Enter');
  const form = scene.page.locator('details.fold', { hasText: 'Add a queue' });
  await form.getByLabel('Vhost').focus();
  await keyboard.type(vhost);
  await keyboard.press('Tab');
  await keyboard.type(name);
  await keyboard.press('Enter');
  await scene.notice('The queue is there.');
  await scene.page.evaluate(() => document.activeElement.blur());
  await keyboard.press('/');
  await keyboard.type(name);
  await until(async () => (await scene.page.locator('tbody tr').count()) === 1, 'it is found');
  await keyboard.press('Escape');
  assert.ok((await focused(scene)).startsWith('BODY'), 'Escape leaves the filter');
  await press(scene.page.getByRole('link', { name }), 'Enter');
  await scene.page.getByRole('heading', { name }).waitFor();
  const destroy = scene.page.getByRole('button', { name: 'Delete this queue' });
  await press(destroy, 'Enter');
  await scene.page.getByRole('dialog').waitFor();
  assert.equal(await focused(scene), 'BUTTON Cancel', 'the harmless answer comes first');
  await keyboard.press('Escape');
  await until(async () => (await scene.page.getByRole('dialog').count()) === 0, 'Escape cancels');
  assert.equal(await focused(scene), 'BUTTON Delete this queue', 'the focus is back where it was');
  await keyboard.press('Enter');
  await keyboard.press('Shift+Tab');
  await keyboard.press('Enter');
  await scene.notice('Deleted.');
  assert.equal(await scene.api('GET', `queues/${vhost}/${name}`), 404);
});
