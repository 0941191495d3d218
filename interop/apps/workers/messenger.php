<?php
// A Symfony Messenger application: `messenger.php messenger:consume async` runs its handlers, and
// `messenger.php dispatch CLASS ARGUMENTS` sends a message. A Symfony project says the same in messenger.yaml.

namespace App;

use Psr\Container\ContainerInterface;
use Symfony\Component\Console\Application;
use Symfony\Component\EventDispatcher\EventDispatcher;
use Symfony\Component\Messenger\Bridge\Amqp\Transport\AmqpStamp;
use Symfony\Component\Messenger\Bridge\Amqp\Transport\AmqpTransportFactory;
use Symfony\Component\Messenger\Command\ConsumeMessagesCommand;
use Symfony\Component\Messenger\EventListener\SendFailedMessageForRetryListener;
use Symfony\Component\Messenger\EventListener\SendFailedMessageToFailureTransportListener;
use Symfony\Component\Messenger\EventListener\StopWorkerOnSigtermSignalListener;
use Symfony\Component\Messenger\Handler\HandlersLocator;
use Symfony\Component\Messenger\MessageBus;
use Symfony\Component\Messenger\Middleware\HandleMessageMiddleware;
use Symfony\Component\Messenger\Middleware\SendMessageMiddleware;
use Symfony\Component\Messenger\Retry\MultiplierRetryStrategy;
use Symfony\Component\Messenger\RoutableMessageBus;
use Symfony\Component\Messenger\Stamp\DelayStamp;
use Symfony\Component\Messenger\Transport\Sender\SendersLocator;
use Symfony\Component\Messenger\Transport\Serialization\PhpSerializer;

// Where Debian's packages are; a project has vendor/autoload.php instead.
foreach (['Console', 'EventDispatcher', 'Messenger', 'Messenger/Bridge/Amqp'] as $component) {
    require_once "Symfony/Component/$component/autoload.php";
}

function journal(...$words): void
{
    file_put_contents(getenv('JOURNAL'), implode(' ', $words)."\n", FILE_APPEND);
}

final class Note
{
    public function __construct(public string $text)
    {
    }
}

final class Fragile
{
    public function __construct(public int $failures)
    {
    }
}

final class Urgent
{
    public function __construct(public int $priority)
    {
    }
}

final class Hold
{
}

$tries = 0;
$handlers = new HandlersLocator([
    Note::class => [fn (Note $note) => journal('note', $note->text, microtime(true))],
    Fragile::class => [function (Fragile $message) use (&$tries) {
        journal('try', $tries);
        if ($tries++ < $message->failures) {
            throw new \RuntimeException('not yet');
        }
    }],
    Urgent::class => [fn (Urgent $message) => journal('urgent', $message->priority)],
    Hold::class => [function () {
        journal('hold', getenv('NAME'));
        while (!file_exists(getenv('FOLDER').'/released')) {
            usleep(20_000);
        }
        journal('done', getenv('NAME'));
    }],
]);

// framework.messenger.transports: with the exchange and queue of each.
$transport = fn (string $name, array $arguments = []) => (new AmqpTransportFactory())->createTransport(
    getenv('AMQP_URI'),
    // A fanout exchange, as is Messenger's default: a failed message keeps its old routing key.
    ['exchange' => ['name' => $name, 'type' => 'fanout'], 'queues' => [$name => ['arguments' => $arguments]]],
    new PhpSerializer(),
);
$transports = [
    'async' => $transport('async'),
    'urgent' => $transport('urgent', ['x-max-priority' => 10]),
    'failed' => $transport('failed'),
];

function container(array $services): ContainerInterface
{
    return new class($services) implements ContainerInterface {
        public function __construct(private array $services)
        {
        }

        public function get(string $id): mixed
        {
            return $this->services[$id];
        }

        public function has(string $id): bool
        {
            return isset($this->services[$id]);
        }
    };
}

// framework.messenger.routing
$routing = [Note::class => ['async'], Fragile::class => ['async'], Urgent::class => ['urgent'], Hold::class => ['async']];
$bus = new MessageBus([
    new SendMessageMiddleware(new SendersLocator($routing, container($transports))),
    new HandleMessageMiddleware($handlers),
]);

// retry_strategy and failure_transport of the transport.
$events = new EventDispatcher();
$retries = container(['async' => new MultiplierRetryStrategy(2, 200, 2)]);
$events->addSubscriber(new SendFailedMessageForRetryListener(container($transports), $retries));
$events->addSubscriber(new SendFailedMessageToFailureTransportListener(container(['async' => $transports['failed']])));
$events->addSubscriber(new StopWorkerOnSigtermSignalListener());

if ('dispatch' === $argv[1]) {
    [, , $class, $argument, $delay] = $argv + [3 => null, 4 => 0];
    $class = __NAMESPACE__.'\\'.$class;
    $stamps = $delay ? [new DelayStamp((int) $delay)] : [];
    if (Urgent::class === $class) {
        $stamps[] = new AmqpStamp(null, \AMQP_NOPARAM, ['priority' => (int) $argument]);
    }
    $bus->dispatch(null === $argument ? new $class() : new $class($argument), $stamps);
    exit;
}

$buses = new RoutableMessageBus(container(['bus' => $bus]), $bus);
$application = new Application();
$application->add(new ConsumeMessagesCommand($buses, container($transports), $events, null, array_keys($transports)));
$application->run();
