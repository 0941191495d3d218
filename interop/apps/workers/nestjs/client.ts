// `client.ts send QUEUE PATTERN DATA...` prints the answers to each, or its error; `client.ts emit` is for events, and
// `client.ts topic EXCHANGE PATTERN DATA...` publishes them to a topic exchange. Pattern and data are JSON.

import 'reflect-metadata';
import { Logger } from '@nestjs/common';
import { ClientProxyFactory, Transport } from '@nestjs/microservices';
import { lastValueFrom, toArray } from 'rxjs';

async function main() {
    Logger.overrideLogger(false); // It would log where the answers go.
    const [how, place, pattern, ...data] = process.argv.slice(2);
    const where =
        how === 'topic'
            ? { exchange: place, exchangeType: 'topic' as const, wildcards: true }
            : { queue: place, queueOptions: { durable: true, arguments: { 'x-queue-type': 'quorum' } } };
    const options = { urls: [process.env.AMQP_URI!], ...where };
    const client = ClientProxyFactory.create({ transport: Transport.RMQ, options });
    const answers = data.map((text) => {
        const message = [JSON.parse(pattern), JSON.parse(text)] as const;
        const answer = how === 'send' ? client.send(...message) : client.emit(...message);
        return lastValueFrom(answer.pipe(toArray()));
    });
    for (const answer of await Promise.allSettled(answers)) {
        console.log(JSON.stringify(answer.status === 'fulfilled' ? answer.value : { error: answer.reason }));
    }
    await client.close();
}

main();
