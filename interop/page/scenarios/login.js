const { assert, scenario } = require('../harness');

const kept = (scene) => scene.page.evaluate(() => Object.keys(sessionStorage).concat(Object.values(localStorage)).join());

scenario('log_in_and_out', async (scene) => {
  await scene.login();
  assert.match(await scene.page.locator('header .who').innerText(), /guest/);
  await scene.page.reload();
  await scene.page.getByRole('heading', { name: 'Overview' }).waitFor();
  await scene.page.getByRole('button', { name: 'Log out' }).click();
  await scene.page.getByLabel('Password').waitFor();
  assert.equal(await scene.page.locator('header').isVisible(), false);
  assert.equal(await kept(scene), '');
});

scenario('refused_login', async (scene) => {
  scene.page.provoked.push(401);
  const untagged = await scene.user('');
  for (const [name, password, reason] of [['guest', 'wrong', 'The user or the password is not right.'], [untagged, 'secret', 'Not management user']]) {
    await scene.page.goto(scene.base);
    await scene.page.getByLabel('User').fill(name);
    await scene.page.getByLabel('Password').fill(password);
    await scene.page.getByRole('button', { name: 'Log in' }).click();
    await scene.notice(reason);
    assert.equal(await kept(scene), '', 'a password that was refused is kept');
  }
  await scene.page.goto(`${scene.base}#/queues`);
  await scene.page.getByRole('button', { name: 'Log in' }).waitFor();
});

scenario('a_user_who_is_deleted_is_logged_out', async (scene) => {
  const name = await scene.user('administrator');
  await scene.login(name, 'secret');
  scene.page.provoked.push(401);
  assert.equal(await scene.api('DELETE', `users/${name}`), null);
  await scene.go`users`;
  await scene.page.getByRole('button', { name: 'Log in' }).waitFor();
  assert.equal(await kept(scene), '');
});
