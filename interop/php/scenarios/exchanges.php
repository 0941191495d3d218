<?php

use PhpAmqpLib\Wire\AMQPTable;

/** A consumer on an exclusive queue of its own, bound with these keys. */
function subscribe(Broker $broker, string $exchange, string ...$keys): Inbox
{
    $channel = $broker->channel();
    [$queue] = $channel->queue_declare('', false, false, true);
    foreach ($keys as $key) {
        $channel->queue_bind($queue, $exchange, $key);
    }
    return new Inbox($channel, $queue);
}

scenario('tutorial_1_hello_world', function (Broker $broker) {
    [$sender, $receiver] = [$broker->channel(), $broker->channel()];
    $queue = $broker->queue($sender);
    $inbox = new Inbox($receiver, $queue);
    publish($sender, '', $queue, 'Hello World!');
    $broker->waitUntil(fn () => $inbox->count() === 1, 'the message arrives');
    [$message] = $inbox->messages;
    equal($message->getBody(), 'Hello World!');
    equal([$message->getExchange(), $message->getRoutingKey(), $message->isRedelivered()], ['', $queue, false]);
});

scenario('tutorial_3_publish_subscribe', function (Broker $broker) {
    $sender = $broker->channel();
    $logs = $broker->exchange($sender, 'fanout');
    $inboxes = [subscribe($broker, $logs, ''), subscribe($broker, $logs, ''), subscribe($broker, $logs, '')];
    $lines = ['one', 'two', 'three'];
    foreach ($lines as $line) {
        publish($sender, $logs, 'the key is ignored', $line);
    }
    foreach ($inboxes as $inbox) {
        $broker->waitUntil(fn () => $inbox->count() === 3, 'a subscriber has all');
        equal($inbox->bodies(), $lines);
    }
});

scenario('tutorial_4_routing', function (Broker $broker) {
    $sender = $broker->channel();
    $logs = $broker->exchange($sender, 'direct');
    $disk = subscribe($broker, $logs, 'error');
    $screen = subscribe($broker, $logs, 'info', 'warning', 'error');
    foreach (['info', 'debug', 'error', 'warning'] as $severity) {
        publish($sender, $logs, $severity, $severity);
    }
    $broker->waitUntil(fn () => $disk->count() === 1 && $screen->count() === 3, 'the logs arrive');
    equal([$disk->bodies(), $screen->bodies()], [['error'], ['info', 'error', 'warning']]);
});

scenario('tutorial_5_topics', function (Broker $broker) {
    $channel = $broker->channel();
    $animals = $broker->exchange($channel, 'topic');
    $keys = ['quick.orange.rabbit', 'lazy.orange.elephant', 'lazy.brown.fox', 'orange', 'lazy', ''];
    $expected = [
        '*.orange.*' => ['quick.orange.rabbit', 'lazy.orange.elephant'],
        '*.*.rabbit' => ['quick.orange.rabbit'],
        'lazy.#' => ['lazy.orange.elephant', 'lazy.brown.fox', 'lazy'],
        '#' => $keys,
    ];
    $queues = array_map(fn () => $broker->queue($channel), $expected);
    foreach ($queues as $pattern => $queue) {
        $channel->queue_bind($queue, $animals, $pattern);
    }
    foreach ($keys as $key) {
        publish($channel, $animals, $key, $key);
    }
    equal(array_map(fn ($queue) => bodies(drain($channel, $queue)), $queues), $expected);
});

scenario('headers_exchange_all_and_any', function (Broker $broker) {
    $channel = $broker->channel();
    $exchange = $broker->exchange($channel, 'headers');
    $queues = ['all' => $broker->queue($channel), 'any' => $broker->queue($channel)];
    foreach ($queues as $match => $queue) {
        $arguments = new AMQPTable(['x-match' => $match, 'format' => 'pdf', 'pages' => 3]);
        $channel->queue_bind($queue, $exchange, '', false, $arguments);
    }
    foreach ([
        'both' => ['format' => 'pdf', 'pages' => 3, 'more' => true],
        'one' => ['format' => 'pdf', 'pages' => 4],
        'string is not a number' => ['pages' => '3'],
        'no headers' => [],
    ] as $text => $headers) {
        publish($channel, $exchange, '', $text, ['application_headers' => $headers]);
    }
    equal(bodies(drain($channel, $queues['all'])), ['both']);
    equal(bodies(drain($channel, $queues['any'])), ['both', 'one']);
});

scenario('alternate_exchange_takes_the_unroutable', function (Broker $broker) {
    $channel = $broker->channel();
    $strays = $broker->exchange($channel, 'fanout');
    $main = $broker->exchange($channel, 'direct', ['alternate-exchange' => $strays]);
    [$routed, $unrouted] = [$broker->queue($channel), $broker->queue($channel)];
    $channel->queue_bind($routed, $main, 'known');
    $channel->queue_bind($unrouted, $strays);
    foreach (['known', 'unknown'] as $key) {
        publish($channel, $main, $key, $key);
    }
    equal(bodies(drain($channel, $routed)), ['known']);
    $found = drain($channel, $unrouted);
    equal(bodies($found), ['unknown']);
    equal($found[0]->getExchange(), $main);
});
