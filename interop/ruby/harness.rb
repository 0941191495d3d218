# What every Bunny scenario shares: registration, connections, unique names, waiting, cleaning up.

require "bunny"
require "securerandom"

DEADLINE_SECONDS = 50
SCENARIOS = {}

# Register a scenario. It receives a Broker.
def scenario(name, &block)
  SCENARIOS[name.to_s] = block
end

# The broker under test, and everything one scenario has opened or created on it.
class Broker
  attr_reader :uri

  def initialize(uri)
    @uri = uri
    @connections, @queues, @exchanges = [], [], []
  end

  def connect(uri = @uri, **options)
    quiet = { log_level: :fatal, continuation_timeout: 1000 * DEADLINE_SECONDS }
    connection = Bunny.new(uri, **quiet, **options)
    @connections << connection
    connection.start
  end

  # A channel on a connection of its own.
  def channel
    connect.create_channel
  end

  # From here on use a broker that may be restarted, by what this returns, or skip the scenario.
  def restartable
    @uri, command = needed("RESTART_URI", "RESTART_BROKER")
    -> { system(command, exception: true) }
  end

  def name(kind = "name")
    "interop.#{kind}.#{SecureRandom.hex(8)}"
  end

  def queue(channel, **options)
    @queues << name("queue")
    channel.queue(@queues.last, **options)
  end

  def exchange(channel, type, **options)
    @exchanges << name(type)
    channel.exchange(@exchanges.last, type: type, **options)
  end

  def clean_up
    @connections.each { |connection| connection.close if connection.open? }
    connection = Bunny.new(@uri, log_level: :fatal).start
    channel = connection.create_channel
    @queues.each { |name| channel.queue_delete(name) }
    @exchanges.each { |name| channel.exchange_delete(name) }
    connection.close
  end
end

Message = Struct.new(:info, :properties, :body)

# A consumer that keeps what it is given.
class Inbox
  attr_reader :messages, :consumer

  def initialize(queue, **options)
    @messages = []
    @consumer = queue.subscribe(**options) { |*delivery| @messages << Message.new(*delivery) }
  end

  def wait_for(count)
    wait_until("there are #{count} messages") { @messages.size >= count }
  end

  def bodies
    @messages.map(&:body)
  end
end

# Everything that is in the queue.
def drain(queue)
  messages = []
  while (delivery = queue.pop) && delivery[0]
    messages << Message.new(*delivery)
  end
  messages
end

def wait_until(what)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + DEADLINE_SECONDS
  until yield
    raise "timed out waiting until #{what}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
    sleep 0.005
  end
end

# Wait until so many messages are ready. The count may lag behind earlier publishes.
def wait_ready(queue, count)
  wait_until("#{count} messages are ready") { queue.message_count == count }
end

def equal(actual, expected, what = "value")
  raise "#{what}: expected #{expected.inspect}, got #{actual.inspect}" unless actual == expected
end

# It must raise this error, which has to say this.
def refused(error, text)
  yield
rescue error => refusal
  raise "expected '#{text}' in: #{refusal.message}" unless refusal.message.include?(text)
else
  raise "expected a refusal: #{text}"
end

# The values of these environment variables; the scenario is skipped without them.
def needed(*names)
  values = names.map { |name| ENV[name] }
  if values.any? { |value| value.nil? || value.empty? }
    puts "it needs #{names.join(' and ')}"
    $stdout.flush
    exit! 77
  end
  values
end
