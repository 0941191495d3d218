const { assert, scenario } = require('../harness');

scenario('wrong_password_403', async (broker) => {
  await assert.rejects(broker.connect({ password: 'wrong' }), (error) => error.message.includes(
    '403 (ACCESS-REFUSED) with message "ACCESS_REFUSED - Login was refused using authentication '
    + 'mechanism PLAIN. For details see the broker logfile."'));
});

// amqplib tells no more about this refusal than that the connection was closed.
scenario('unknown_vhost_530', async (broker) => {
  await assert.rejects(broker.connect({ pathname: `/${broker.name('vhost')}` }),
    /Expected ConnectionOpenOk; got <ConnectionClose channel:0>/);
});
