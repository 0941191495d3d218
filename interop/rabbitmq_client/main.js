// `main.js --list` names the scenarios; `main.js NAME` runs one against $AMQP_URI.

const fs = require('node:fs');
const path = require('node:path');
const { Broker, scenarios } = require('./harness');

const folder = path.join(__dirname, 'scenarios');
for (const file of fs.readdirSync(folder).sort()) require(path.join(folder, file));

async function main(name) {
  if (name === '--list') {
    for (const known of scenarios.keys()) console.log(known);
    return;
  }
  const broker = new Broker(process.env.AMQP_URI);
  try {
    await scenarios.get(name)(broker);
  } finally {
    await broker.cleanUp();
  }
}

main(process.argv[2]).then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
