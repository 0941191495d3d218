// What every scenario of the page shares: a browser, the HTTP API beside it, unique names, waiting, cleaning up.

const assert = require('node:assert/strict');
const { randomBytes } = require('node:crypto');

const DEADLINE_MS = 25_000;

const scenarios = new Map();

// Register a scenario. It receives a Scene.
function scenario(name, run) {
  scenarios.set(name, run);
}

// A browser with the page in it, and everything that one scenario has created on the broker.
class Scene {
  static async open(base, amqpUri) {
    const { chromium } = require('playwright-core');
    const scene = new Scene();
    scene.base = `${base}/`;
    scene.amqpUri = amqpUri;
    scene.browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox'],
    });
    scene.vhosts = [];
    scene.users = [];
    scene.connections = [];
    // What has no place in a page that works.
    scene.noise = [];
    await scene.enter();
    return scene;
  }

  // A new window, as another visitor: `scene.page` is it from now on.
  async enter(options = {}) {
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 800 }, acceptDownloads: true, ...options });
    context.setDefaultTimeout(DEADLINE_MS);
    const page = await context.newPage();
    // Answers that the scenario provokes; the browser reports each of them as an error.
    page.provoked = [];
    page.on('console', (message) => {
      const refused = page.provoked.some((status) => message.text().includes(`status of ${status}`));
      if (message.type() === 'error' && !refused) this.noise.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => this.noise.push(`exception: ${error.message}`));
    page.on('dialog', (dialog) => {
      this.noise.push(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    page.on('request', (request) => {
      const isOwn = request.url().startsWith(this.base) || request.url().startsWith(`blob:${this.base}`);
      if (!isOwn) this.noise.push(`request to ${request.url()}`);
    });
    this.page = page;
    return page;
  }

  checkQuiet() {
    assert.deepEqual(this.noise, []);
  }

  async login(name = 'guest', password = 'guest') {
    await this.page.goto(this.base);
    await this.page.getByLabel('User').fill(name);
    await this.page.getByLabel('Password').fill(password);
    await this.page.keyboard.press('Enter');
    await this.page.getByRole('heading', { name: 'Overview' }).waitFor();
  }

  // Goes to a page by its name after the '#/', with the parts in it encoded: scene.go`queues/${vhost}/${name}`.
  async go(strings, ...parts) {
    const where = strings.reduce((all, text, index) => all + encodeURIComponent(parts[index - 1]) + text);
    await this.page.goto(`${this.base}#/${where}`);
  }

  // Opens what is folded away, and returns it.
  async unfold(title) {
    const fold = this.page.locator('details.fold', { has: this.page.locator('summary', { hasText: title }) });
    await fold.locator('> summary').click();
    return fold;
  }

  async notice(text) {
    await this.page.locator('.notice', { hasText: text }).first().waitFor();
  }

  // Presses the button of the question that is asked.
  async answer(verb) {
    await this.page.getByRole('dialog').getByRole('button', { name: verb, exact: true }).click();
  }

  // The row of a table that has this text in it.
  row(text) {
    return this.page.locator('tbody tr', { hasText: text });
  }

  // Asks the HTTP API; the body of the answer, or the status of a refusal.
  async api(method, path, body, [name, password] = ['guest', 'guest']) {
    const answer = await fetch(`${this.base}api/${path}`, {
      method,
      headers: {
        authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
        'content-type': 'application/json',
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) return answer.status;
    return text ? JSON.parse(text) : null;
  }

  async made(method, path, body) {
    const answer = await this.api(method, path, body);
    assert.notEqual(typeof answer, 'number', `${method} ${path}: ${answer}`);
    return answer;
  }

  name(kind = 'page') {
    return `interop.${kind}.${randomBytes(6).toString('hex')}`;
  }

  // A vhost of the scenario's own, where guest may do everything. It goes with all that is in it.
  async vhost(name = this.name('vhost')) {
    this.vhosts.push(name);
    await this.made('PUT', `vhosts/${encodeURIComponent(name)}`, {});
    return name;
  }

  async user(tags, name = this.name('user')) {
    this.users.push(name);
    await this.made('PUT', `users/${encodeURIComponent(name)}`, { password: 'secret', tags });
    return name;
  }

  async queue(vhost, name = this.name('queue'), options = {}) {
    await this.made('PUT', `queues/${encodeURIComponent(vhost)}/${encodeURIComponent(name)}`, options);
    return name;
  }

  async publish(vhost, queue, payload, properties = {}) {
    const where = `exchanges/${encodeURIComponent(vhost)}/amq.default/publish`;
    const answer = await this.made('POST', where, { routing_key: queue, payload, payload_encoding: 'string', properties });
    assert.equal(answer.routed, true);
  }

  // Waits until as many messages are ready.
  async untilReady(vhost, queue, count) {
    const where = `queues/${encodeURIComponent(vhost)}/${encodeURIComponent(queue)}`;
    await until(async () => (await this.api('GET', where)).messages_ready === count, `${count} messages are in ${queue}`);
  }

  // An AMQP connection, to a vhost.
  async connect(vhost, connectionName) {
    const amqp = require('amqplib');
    const uri = Object.assign(new URL(this.amqpUri), { pathname: `/${encodeURIComponent(vhost)}` });
    const connection = await amqp.connect(uri.href, { clientProperties: { connection_name: connectionName } });
    connection.on('error', () => {});
    connection.on('close', () => { connection.closed = true; });
    this.connections.push(connection);
    return connection;
  }

  async cleanUp() {
    await this.browser.close();
    for (const connection of this.connections) {
      if (!connection.closed) await connection.close();
    }
    for (const name of this.users) await this.api('DELETE', `users/${encodeURIComponent(name)}`);
    for (const name of this.vhosts) await this.api('DELETE', `vhosts/${encodeURIComponent(name)}`);
  }
}

// Wait until the condition, which may be asynchronous, holds.
async function until(condition, what) {
  const deadline = Date.now() + DEADLINE_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`timed out waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

module.exports = { Scene, assert, scenario, scenarios, until };
