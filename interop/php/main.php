<?php
// `main.php --list` names the scenarios; `main.php NAME` runs one against $AMQP_URI.

// Debian's package is a little older than PHP's last word on nullable parameters.
error_reporting(E_ALL & ~E_DEPRECATED);
require __DIR__ . '/harness.php';
foreach (glob(__DIR__ . '/scenarios/*.php') as $file) {
    require $file;
}

if ($argv[1] === '--list') {
    echo implode("\n", array_keys($scenarios)), "\n";
    exit;
}
$broker = new Broker(getenv('AMQP_URI'));
try {
    $scenarios[$argv[1]]($broker);
} finally {
    $broker->cleanUp();
}
