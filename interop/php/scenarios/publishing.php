<?php

use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPDecimal;

scenario('tutorial_7_confirms_in_batches', function (Broker $broker) {
    $channel = $broker->channel();
    $queue = $broker->queue($channel, durable: true);
    $confirmed = 0;
    $channel->set_ack_handler(function () use (&$confirmed) {
        $confirmed++;
    });
    $channel->confirm_select();
    $texts = array_map('strval', range(0, 999));
    foreach ($texts as $text) {
        $message = new AMQPMessage($text, ['delivery_mode' => AMQPMessage::DELIVERY_MODE_PERSISTENT]);
        $channel->batch_basic_publish($message, '', $queue);
    }
    $channel->publish_batch();
    $channel->wait_for_pending_acks(DEADLINE_SECONDS);
    equal($confirmed, 1000, 'confirmed');
    equal(bodies(drain($channel, $queue)), $texts);
});

scenario('full_queue_that_rejects_nacks_the_publish', function (Broker $broker) {
    $channel = $broker->channel();
    $queue = $broker->queue($channel, ['x-max-length' => 1, 'x-overflow' => 'reject-publish']);
    $events = [];
    $channel->set_ack_handler(function (AMQPMessage $message) use (&$events) {
        $events[] = 'ack ' . $message->getBody();
    });
    $channel->set_nack_handler(function (AMQPMessage $message) use (&$events) {
        $events[] = 'nack ' . $message->getBody();
    });
    $channel->confirm_select();
    foreach (['fits', 'does not'] as $text) {
        publish($channel, '', $queue, $text);
        $channel->wait_for_pending_acks(DEADLINE_SECONDS);
    }
    equal($events, ['ack fits', 'nack does not']);
    equal(bodies(drain($channel, $queue)), ['fits']);
});

scenario('mandatory_message_is_returned_before_its_ack', function (Broker $broker) {
    $channel = $broker->channel();
    $events = [];
    $channel->set_return_listener(function ($code, $text, $exchange, $key, AMQPMessage $message) use (&$events) {
        $events[] = [$code, $text, $exchange, $key, $message->get('message_id'), $message->getBody()];
    });
    $channel->set_ack_handler(function (AMQPMessage $message) use (&$events) {
        $events[] = ['ack', $message->getDeliveryTag()];
    });
    $channel->confirm_select();
    $channel->basic_publish(new AMQPMessage('stray', ['message_id' => 'm-1']), 'amq.direct', 'no such key', true);
    $channel->wait_for_pending_acks_returns(DEADLINE_SECONDS);
    equal($events, [[312, 'NO_ROUTE', 'amq.direct', 'no such key', 'm-1', 'stray'], ['ack', 1]]);
});

scenario('every_header_type_survives', function (Broker $broker) {
    // Everything that the client can write; it makes texts of floating point numbers.
    $headers = [
        'longstr' => 'plain',
        'unicode' => 'żółw 🐢',
        'empty string' => '',
        'true' => true,
        'false' => false,
        'int 32' => -123456,
        'int 64' => -(2 ** 40),
        'void' => null,
        'table' => ['deep' => ['deeper' => [1, 'two', ['three' => 3]]]],
        'array' => [1, 2 ** 40, 'text', true, null, [], ['nested']],
    ];
    $objects = [
        'decimal' => new AMQPDecimal(1234, 2),
        'timestamp' => new DateTime('2001-02-03T04:05:06Z'),
    ];
    $channel = $broker->channel();
    $queue = $broker->queue($channel);
    publish($channel, '', $queue, '', ['application_headers' => $headers + $objects]);
    $received = $channel->basic_get($queue, true)->get('application_headers')->getNativeData();
    foreach ($headers as $name => $value) {
        equal($received[$name], $value, $name);
    }
    equal([$received['decimal']->getN(), $received['decimal']->getE()], [1234, 2], 'decimal');
    equal($received['timestamp']->getTimestamp(), $objects['timestamp']->getTimestamp());
    equal(array_keys($received), array_keys($headers + $objects), 'order of the headers');
});

scenario('large_body_10_mib', function (Broker $broker) {
    $channel = $broker->channel();
    $queue = $broker->queue($channel);
    $body = random_bytes(10 * 1024 * 1024);
    publish($channel, '', $queue, $body);
    equal($channel->basic_get($queue, true)->getBody() === $body, true, 'the body came back unchanged');
});

scenario('direct_reply_to', function (Broker $broker) {
    [$server, $client] = [$broker->channel(), $broker->channel()];
    $requests = $broker->queue($server);
    $server->basic_consume($requests, '', false, true, false, false, function (AMQPMessage $request) use ($server) {
        $properties = ['correlation_id' => $request->get('correlation_id')];
        publish($server, '', $request->get('reply_to'), (string) (2 * (int) $request->getBody()), $properties);
    });
    $replies = new Inbox($client, 'amq.rabbitmq.reply-to');
    foreach ([30, 5, 12] as $n) {
        $properties = ['reply_to' => 'amq.rabbitmq.reply-to', 'correlation_id' => "call $n"];
        publish($client, '', $requests, (string) $n, $properties);
    }
    $broker->waitUntil(fn () => $replies->count() === 3, 'all replies are here');
    $received = [];
    foreach ($replies->messages as $reply) {
        $received[$reply->get('correlation_id')] = $reply->getBody();
        equal(str_starts_with($reply->getRoutingKey(), 'amq.rabbitmq.reply-to.'), true, $reply->getRoutingKey());
    }
    equal($received, ['call 30' => '60', 'call 5' => '10', 'call 12' => '24']);
});
