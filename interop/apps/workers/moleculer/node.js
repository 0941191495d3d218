// `node.js NAME` is a Moleculer node with a service.

const { ServiceBroker } = require('moleculer');
const journal = require('../journal');

const broker = new ServiceBroker({
    nodeID: process.argv[2],
    transporter: process.env.AMQP_URI,
    // With BALANCED_BY_BROKER requests wait in one queue for all nodes that have the action, and the AMQP broker
    // decides who gets the next. Otherwise Moleculer decides, and each node has queues of its own.
    disableBalancer: Boolean(process.env.BALANCED_BY_BROKER),
    heartbeatInterval: 1,
    heartbeatTimeout: 8,
    logLevel: 'warn',
});

broker.createService({
    name: 'math',
    actions: {
        add: (ctx) => ({ sum: ctx.params.a + ctx.params.b, node: ctx.broker.nodeID }),
        refuse() {
            throw new Error('not today');
        },
        async hold(ctx) {
            journal.write('hold', ctx.broker.nodeID);
            await journal.waitFor('released');
            return ctx.broker.nodeID;
        },
    },
    events: {
        'order.placed': (ctx) => journal.write('order', ctx.params.number, ctx.broker.nodeID),
        'config.changed': (ctx) => journal.write('config', ctx.broker.nodeID),
    },
});

broker.start().then(() => journal.write('ready', broker.nodeID));
