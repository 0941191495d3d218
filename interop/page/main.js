// `main.js --list` names the scenarios; `main.js NAME` runs one against leveret's web page at $HTTP_URI.

const fs = require('node:fs');
const path = require('node:path');
const { Scene, scenarios } = require('./harness');

const folder = path.join(__dirname, 'scenarios');
for (const file of fs.readdirSync(folder).sort()) require(path.join(folder, file));

async function main(name) {
  if (name === '--list') {
    for (const known of scenarios.keys()) console.log(known);
    return;
  }
  const scene = await Scene.open(process.env.HTTP_URI, process.env.AMQP_URI);
  const stopped = new Promise((_, reject) => {
    process.on('SIGTERM', () => reject(new Error('stopped from outside; the scenario took too long')));
  });
  try {
    await Promise.race([scenarios.get(name)(scene), stopped]);
    scene.checkQuiet();
  } catch (error) {
    for (const line of scene.noise) console.error(line);
    throw error;
  } finally {
    await scene.cleanUp();
  }
}

main(process.argv[2]).then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
