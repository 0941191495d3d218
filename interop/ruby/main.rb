# `main.rb --list` names the scenarios; `main.rb NAME` runs one against $AMQP_URI.

require_relative "harness"
Dir[File.join(__dir__, "scenarios", "*.rb")].sort.each { |file| require file }

if ARGV[0] == "--list"
  puts SCENARIOS.keys
else
  broker = Broker.new(ENV.fetch("AMQP_URI"))
  begin
    SCENARIOS.fetch(ARGV[0]).call(broker)
  ensure
    broker.clean_up
  end
end
