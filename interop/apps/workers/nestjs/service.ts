// A NestJS microservice that consumes from a queue, and acknowledges what it is done with.

import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Ctx, EventPattern, MessagePattern, MicroserviceOptions, Payload } from '@nestjs/microservices';
import { RmqContext, RpcException, Transport } from '@nestjs/microservices';
import { from } from 'rxjs';
import * as journal from '../journal';

function done(context: RmqContext) {
    context.getChannelRef().ack(context.getMessage());
}

@Controller()
class Orders {
    @MessagePattern('sum')
    sum(@Payload() numbers: number[], @Ctx() context: RmqContext) {
        done(context);
        return numbers.reduce((sum, number) => sum + number, 0);
    }

    /** Several answers to one question. */
    @MessagePattern('count')
    count(@Payload() to: number, @Ctx() context: RmqContext) {
        done(context);
        return from(Array.from({ length: to }, (_, index) => index + 1));
    }

    @MessagePattern({ command: 'refuse' })
    refuse(@Ctx() context: RmqContext) {
        done(context);
        throw new RpcException('not today');
    }

    @EventPattern('placed')
    placed(@Payload() order: { number: number }, @Ctx() context: RmqContext) {
        journal.write('placed', order.number, process.env.NAME);
        done(context);
    }

    @EventPattern('hold')
    async hold(@Ctx() context: RmqContext) {
        journal.write('hold', process.env.NAME, context.getMessage().fields.redelivered);
        await journal.waitFor('released');
        journal.write('done', process.env.NAME);
        done(context);
    }
}

@Module({ controllers: [Orders] })
class Service {}

async function main() {
    const app = await NestFactory.createMicroservice<MicroserviceOptions>(Service, {
        transport: Transport.RMQ,
        options: {
            urls: [process.env.AMQP_URI!],
            queue: 'orders',
            queueOptions: { durable: true, arguments: { 'x-queue-type': 'quorum' } },
            noAck: false,
            prefetchCount: 5,
            socketOptions: { reconnectTimeInSeconds: 1 },
        },
    });
    app.enableShutdownHooks();
    await app.listen();
}

main();
