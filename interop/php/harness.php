<?php
// What every php-amqplib scenario shares: registration, connections, unique names, waiting, cleaning up.

require 'PhpAmqpLib/autoload.php';

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Connection\AbstractConnection;
use PhpAmqpLib\Connection\AMQPConnectionConfig;
use PhpAmqpLib\Connection\AMQPConnectionFactory;
use PhpAmqpLib\Exception\AMQPTimeoutException;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

const DEADLINE_SECONDS = 50;

$scenarios = [];

/** Register a scenario. It receives a Broker. */
function scenario(string $name, callable $run): void
{
    global $scenarios;
    $scenarios[$name] = $run;
}

/** The broker under test, and everything one scenario has opened or created on it. */
class Broker
{
    private array $connections = [];
    private array $queues = [];
    private array $exchanges = [];

    public function __construct(private string $uri)
    {
    }

    public function config(): AMQPConnectionConfig
    {
        $uri = parse_url($this->uri);
        $config = new AMQPConnectionConfig();
        $config->setHost($uri['host']);
        $config->setPort($uri['port']);
        $config->setUser($uri['user']);
        $config->setPassword($uri['pass']);
        $config->setVhost(urldecode(substr($uri['path'], 1)));
        $config->setReadTimeout(DEADLINE_SECONDS);
        $config->setWriteTimeout(DEADLINE_SECONDS);
        return $config;
    }

    public function connect(?AMQPConnectionConfig $config = null): AbstractConnection
    {
        return $this->connections[] = AMQPConnectionFactory::create($config ?? $this->config());
    }

    /** A channel on a connection of its own. */
    public function channel(): AMQPChannel
    {
        return $this->connect()->channel();
    }

    /** From here on use a broker that may be restarted, by what this returns, or skip the scenario. */
    public function restartable(): callable
    {
        [$this->uri, $command] = needed('RESTART_URI', 'RESTART_BROKER');
        return function () use ($command) {
            exec($command, $output, $code);
            equal($code, 0, 'exit code of the restart');
        };
    }

    public function name(string $kind = 'name'): string
    {
        return "interop.$kind." . bin2hex(random_bytes(8));
    }

    public function queue(AMQPChannel $channel, array $arguments = [], bool $durable = false): string
    {
        $queue = $this->queues[] = $this->name('queue');
        $channel->queue_declare($queue, false, $durable, false, false, false, new AMQPTable($arguments));
        return $queue;
    }

    public function exchange(AMQPChannel $channel, string $type, array $arguments = []): string
    {
        $exchange = $this->exchanges[] = $this->name($type);
        $channel->exchange_declare($exchange, $type, false, false, false, false, false, new AMQPTable($arguments));
        return $exchange;
    }

    /** Serve all connections until the condition holds. */
    public function waitUntil(callable $condition, string $what): void
    {
        $deadline = microtime(true) + DEADLINE_SECONDS;
        while (!$condition()) {
            if (microtime(true) > $deadline) {
                throw new Exception("timed out waiting until $what");
            }
            foreach ($this->connections as $connection) {
                foreach ($connection->channels ?? [] as $channel) {
                    if ($channel instanceof AMQPChannel && $channel->is_open()) {
                        try {
                            $channel->wait(null, true, 0.01);
                        } catch (AMQPTimeoutException) {
                            // Nothing came.
                        }
                    }
                }
            }
        }
    }

    /** Wait until so many messages are ready. The count may lag behind earlier publishes. */
    public function waitReady(AMQPChannel $channel, string $queue, int $count): void
    {
        $this->waitUntil(fn () => $channel->queue_declare($queue, true)[1] === $count, "$count messages are ready");
    }

    public function cleanUp(): void
    {
        foreach ($this->connections as $connection) {
            try {
                $connection->close();
            } catch (Exception) {
                // The broker may have closed it already.
            }
        }
        $connection = AMQPConnectionFactory::create($this->config());
        $channel = $connection->channel();
        foreach ($this->queues as $queue) {
            $channel->queue_delete($queue);
        }
        foreach ($this->exchanges as $exchange) {
            $channel->exchange_delete($exchange);
        }
        $connection->close();
    }
}

/** A consumer that keeps what it is given. */
class Inbox
{
    public array $messages = [];
    public string $tag;

    public function __construct(AMQPChannel $channel, string $queue, bool $noAck = true)
    {
        $this->tag = $channel->basic_consume($queue, '', false, $noAck, false, false, function (AMQPMessage $message) {
            $this->messages[] = $message;
        });
    }

    public function count(): int
    {
        return count($this->messages);
    }

    public function bodies(): array
    {
        return bodies($this->messages);
    }
}

function publish(AMQPChannel $channel, string $exchange, string $key, string $body, array $properties = []): void
{
    if (isset($properties['application_headers'])) {
        $properties['application_headers'] = new AMQPTable($properties['application_headers']);
    }
    $channel->basic_publish(new AMQPMessage($body, $properties), $exchange, $key);
}

/** Everything that is in the queue. */
function drain(AMQPChannel $channel, string $queue): array
{
    $messages = [];
    while ($message = $channel->basic_get($queue, true)) {
        $messages[] = $message;
    }
    return $messages;
}

function bodies(array $messages): array
{
    return array_map(fn (AMQPMessage $message) => $message->getBody(), $messages);
}

function equal(mixed $actual, mixed $expected, string $what = 'value'): void
{
    if ($actual !== $expected) {
        throw new Exception("$what: expected " . var_export($expected, true) . ', got ' . var_export($actual, true));
    }
}

/** It must throw an error of this class and code, which says this. */
function refused(string $class, int $code, string $text, callable $attempt): void
{
    try {
        $attempt();
    } catch (Exception $refusal) {
        if (!$refusal instanceof $class || !str_contains($refusal->getMessage(), $text)) {
            throw $refusal;
        }
        equal($refusal->getCode(), $code, 'code');
        return;
    }
    throw new Exception("expected a refusal: $text");
}

/** The values of these environment variables; the scenario is skipped without them. */
function needed(string ...$names): array
{
    $values = array_map('getenv', $names);
    if (in_array(false, $values, true)) {
        echo 'it needs ', implode(' and ', $names), "\n";
        exit(77);
    }
    return $values;
}
