<?php

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Exception\AMQPBasicCancelException;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Message\AMQPMessage;

function publishNumbers(AMQPChannel $channel, string $queue, int $last): void
{
    foreach (range(1, $last) as $n) {
        publish($channel, '', $queue, (string) $n);
    }
}

scenario('prefetch_per_consumer', function (Broker $broker) {
    $channel = $broker->channel();
    $queue = $broker->queue($channel);
    $channel->basic_qos(0, 2, false);
    [$first, $second] = [new Inbox($channel, $queue, false), new Inbox($channel, $queue, false)];
    publishNumbers($channel, $queue, 10);
    $broker->waitUntil(fn () => $first->count() + $second->count() === 4, 'both consumers are full');
    $broker->waitReady($channel, $queue, 6);
    equal([$first->count(), $second->count()], [2, 2]);
    $first->messages[0]->ack();
    $broker->waitUntil(fn () => $first->count() === 3, 'the ack made room');
    $broker->waitReady($channel, $queue, 5);
    equal($second->count(), 2);
});

scenario('nacked_messages_return_to_their_places', function (Broker $broker) {
    $channel = $broker->channel();
    $queue = $broker->queue($channel);
    publishNumbers($channel, $queue, 5);
    $taken = array_map(fn () => $channel->basic_get($queue), range(1, 4));
    equal(array_map(fn (AMQPMessage $message) => $message->isRedelivered(), $taken), [false, false, false, false]);
    $taken[3]->nack(true);
    $taken[1]->reject(true);
    $again = array_map(
        fn (AMQPMessage $message) => [$message->getBody(), $message->isRedelivered()],
        drain($channel, $queue)
    );
    equal($again, [['2', true], ['4', true], ['5', false]]);
});

// What waits for messages gets an exception, after which the channel is as good as before.
scenario('consumer_is_told_when_its_queue_is_deleted', function (Broker $broker) {
    [$consumer, $other] = [$broker->channel(), $broker->channel()];
    $queue = $broker->queue($other);
    $inbox = new Inbox($consumer, $queue);
    $other->queue_delete($queue);
    try {
        $consumer->wait(null, false, DEADLINE_SECONDS);
        throw new Exception('it was not told');
    } catch (AMQPBasicCancelException $cancel) {
        equal($cancel->consumerTag, $inbox->tag);
    }
    equal($consumer->queue_declare('', false, false, true)[1], 0);
});

scenario('cancelled_consumer_gets_no_more', function (Broker $broker) {
    $channel = $broker->channel();
    $queue = $broker->queue($channel);
    $inbox = new Inbox($channel, $queue, false);
    publish($channel, '', $queue, 'before');
    $broker->waitUntil(fn () => $inbox->count() === 1, 'the first is delivered');
    $channel->basic_cancel($inbox->tag);
    publish($channel, '', $queue, 'after');
    $inbox->messages[0]->ack();
    equal(bodies(drain($channel, $queue)), ['after']);
    equal($inbox->count(), 1);
});

scenario('exclusive_queue_is_locked_for_others_405', function (Broker $broker) {
    [$owner, $other] = [$broker->connect(), $broker->connect()];
    $queue = $broker->name('queue');
    $owner->channel()->queue_declare($queue, false, false, true);
    $text = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '$queue' in vhost '/'. It could be "
        . 'originally declared on another connection or the exclusive property value does not match that of the '
        . 'original declaration.';
    foreach ([
        fn (AMQPChannel $channel) => $channel->queue_declare($queue, false, false, true),
        fn (AMQPChannel $channel) => $channel->queue_declare($queue, true),
        fn (AMQPChannel $channel) => $channel->basic_get($queue),
        fn (AMQPChannel $channel) => new Inbox($channel, $queue),
        fn (AMQPChannel $channel) => $channel->queue_purge($queue),
        fn (AMQPChannel $channel) => $channel->queue_delete($queue),
        fn (AMQPChannel $channel) => $channel->queue_bind($queue, 'amq.direct', 'key'),
    ] as $attempt) {
        refused(AMQPProtocolChannelException::class, 405, $text, fn () => $attempt($other->channel()));
    }
});

scenario('expired_message_is_dead_lettered', function (Broker $broker) {
    $channel = $broker->channel();
    $graveyard = $broker->queue($channel);
    $queue = $broker->queue($channel, [
        'x-message-ttl' => 50, 'x-dead-letter-exchange' => '', 'x-dead-letter-routing-key' => $graveyard,
    ]);
    $inbox = new Inbox($channel, $graveyard);
    publish($channel, '', $queue, 'short life');
    $broker->waitUntil(fn () => $inbox->count() === 1, 'the message expires');
    [$death] = $inbox->messages[0]->get('application_headers')->getNativeData()['x-death'];
    equal([$death['queue'], $death['reason'], $death['count']], [$queue, 'expired', 1]);
    equal([$death['exchange'], $death['routing-keys']], ['', [$queue]]);
});

scenario('priority_queue_serves_the_highest_first', function (Broker $broker) {
    $channel = $broker->channel();
    $queue = $broker->queue($channel, ['x-max-priority' => 5]);
    foreach ([1, 5, 0, 3, 5] as $priority) {
        publish($channel, '', $queue, (string) $priority, ['priority' => $priority]);
    }
    equal(bodies(drain($channel, $queue)), ['5', '5', '3', '1', '0']);
});
