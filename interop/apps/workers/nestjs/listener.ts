// A NestJS microservice with a queue of its own, bound to a topic exchange by its patterns.

import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EventPattern, MicroserviceOptions, Payload, Transport } from '@nestjs/microservices';
import * as journal from '../journal';

@Controller()
class Listener {
    @EventPattern('order.*')
    order(@Payload() text: string) {
        journal.write('order', text);
    }

    @EventPattern('log.#')
    log(@Payload() text: string) {
        journal.write('log', text);
    }
}

@Module({ controllers: [Listener] })
class Service {}

async function main() {
    const app = await NestFactory.createMicroservice<MicroserviceOptions>(Service, {
        transport: Transport.RMQ,
        options: {
            urls: [process.env.AMQP_URI!],
            queue: 'listener',
            queueOptions: { durable: false, autoDelete: true },
            exchange: 'events',
            wildcards: true,
        },
    });
    await app.listen();
}

main();
