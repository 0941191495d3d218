// `client.js STEPS` is a Moleculer node without services, which runs some steps and prints what comes of them.
// A step is JSON: ["wait", nodes], ["call", action, params, options], ["emit", event, params] or ["broadcast", event,
// params]. With START_WHEN it connects when there is that file in FOLDER.

const { ServiceBroker } = require('moleculer');
const journal = require('../journal');

// A request is lost if it comes before a node has declared the queue of the action, so it has to be made again.
const balancedByBroker = { disableBalancer: true, requestTimeout: 1000, retryPolicy: { enabled: true } };

const broker = new ServiceBroker({
    transporter: process.env.AMQP_URI,
    ...(process.env.BALANCED_BY_BROKER && balancedByBroker),
    heartbeatInterval: 1,
    heartbeatTimeout: 8,
    logger: false,
});

async function nodesAre(names) {
    for (;;) {
        const list = await broker.call('$node.list', { onlyAvailable: true });
        const found = list.filter((node) => !node.local).map((node) => node.id);
        if (found.sort().join() === names.join()) return names;
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

async function step([kind, ...words]) {
    if (kind === 'wait') return nodesAre(...words);
    return broker[kind](...words);
}

async function main() {
    if (process.env.START_WHEN) await journal.waitFor(process.env.START_WHEN);
    await broker.start();
    await broker.waitForServices('math');
    for (const words of JSON.parse(process.argv[2])) {
        const result = await step(words).catch((error) => ({ error: error.message }));
        console.log(JSON.stringify(result ?? null));
    }
    await broker.stop();
}

main();
