const { assert, scenario, until } = require('../harness');

// Every page, without what is in a detail page's address.
async function pages(scene) {
  const vhost = await scene.vhost();
  const queue = await scene.queue(vhost, `${scene.name('queue')}.${'long'.repeat(40)}`);
  await scene.publish(vhost, queue, 'x'.repeat(2000));
  const connection = await scene.connect(vhost, 'somebody');
  await connection.createChannel();
  const own = () => scene.api('GET', `vhosts/${vhost}/connections`);
  await until(async () => (await own()).length === 1, 'the connection is listed');
  const [{ name }] = await own();
  const parts = [[], ['connections'], ['connections', name], ['channels'], ['channels', `${name} (1)`], ['exchanges'],
    ['exchanges', vhost, 'amq.topic'], ['exchanges', vhost, 'amq.default'], ['queues'], ['queues', vhost, queue], ['users'], ['users', 'guest'], ['vhosts'],
    ['vhosts', vhost], ['policies'], ['limits'], ['definitions']];
  return parts.map((part) => part.map(encodeURIComponent).join('/'));
}

// A page that has what it asked the broker for.
async function open(scene, where) {
  const answered = where === 'definitions' ? null : scene.page.waitForResponse((answer) => answer.url().includes('/api/'));
  await scene.page.goto(`${scene.base}#/${where}`);
  await scene.page.getByRole('heading', { level: 1 }).waitFor();
  await answered;
  assert.equal(await scene.page.locator('p.bad:visible').count(), 0, where);
}

scenario('no_page_makes_noise', async (scene) => {
  const all = await pages(scene);
  await scene.login();
  for (const where of all) {
    await open(scene, where);
    for (const fold of await scene.page.locator('details.fold > summary').all()) await fold.click();
  }
  await scene.page.goto(`${scene.base}#/no/such/page`);
  await scene.page.getByText('There is no such page').waitFor();
});

scenario('pages_fit_a_phone', async (scene) => {
  const all = await pages(scene);
  await scene.enter({ viewport: { width: 390, height: 844 } });
  await scene.login();
  for (const where of all) {
    await open(scene, where);
    for (const fold of await scene.page.locator('details.fold > summary').all()) await fold.click();
    const [inside, window] = await scene.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(inside <= window, `${where} is ${inside} wide`);
  }
});

// How far letters stand out from what is behind them, as WCAG counts.
function contrast(front, back) {
  const light = (color) => {
    const [red, green, blue] = color.match(/[\d.]+/g).map((part) => {
      const share = Number(part) / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [one, other] = [light(front), light(back)].sort((a, b) => b - a);
  return (one + 0.05) / (other + 0.05);
}

async function colors(scene) {
  return scene.page.evaluate(() => {
    const of = (element) => getComputedStyle(element);
    const back = of(document.documentElement).backgroundColor;
    const plain = [['text', document.body], ['quiet', document.querySelector('.quiet, small, th')], ['link', document.querySelector('main a')]];
    const filled = [['main button', document.querySelector('button.main')], ['current page', document.querySelector('a[aria-current]')]];
    return {
      back,
      pairs: [...plain.map(([name, element]) => [name, of(element).color, back]),
        ...filled.map(([name, element]) => [name, of(element).color, of(element).backgroundColor])],
    };
  });
}

scenario('light_and_dark', async (scene) => {
  const vhost = await scene.vhost();
  await scene.queue(vhost);
  const seen = {};
  for (const colorScheme of ['light', 'dark']) {
    await scene.enter({ colorScheme });
    await scene.login();
    await scene.go`queues`;
    await scene.row(vhost).waitFor();
    const found = await colors(scene);
    seen[colorScheme] = found.back;
    for (const [what, front, back] of found.pairs) {
      const ratio = contrast(front, back);
      assert.ok(ratio >= 4.5, `${what} in ${colorScheme}: ${ratio.toFixed(2)} of ${front} on ${back}`);
    }
  }
  assert.notEqual(seen.light, seen.dark);
  // Chosen by hand, and remembered.
  await scene.page.getByRole('button', { name: 'Light or dark' }).click();
  assert.equal((await colors(scene)).back, seen.light);
  await scene.page.reload();
  await scene.row(vhost).waitFor();
  assert.equal((await colors(scene)).back, seen.light);
});
