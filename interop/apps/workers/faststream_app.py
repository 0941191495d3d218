"""A FastStream application. `faststream run faststream_app:app` runs its subscribers."""

import os

import journal
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue
from pydantic import BaseModel

broker = RabbitBroker(os.environ["AMQP_URI"], default_channel=Channel(prefetch_count=10))
app = FastStream(broker)


class Order(BaseModel):
    item: str
    pieces: int


@broker.subscriber("orders")
@broker.publisher("bills")
async def order(order: Order) -> str:
    return f"{order.pieces} x {order.item}"


@broker.subscriber("bills")
async def bill(text: str):
    journal.write("bill", text)


@broker.subscriber("double")
async def double(number: int) -> int:
    return 2 * number


logs = RabbitExchange("logs", type=ExchangeType.TOPIC)


@broker.subscriber(RabbitQueue("all logs", routing_key="logs.#"), logs)
async def everything(text: str):
    journal.write("all", text)


@broker.subscriber(RabbitQueue("errors", routing_key="logs.*.error"), logs)
async def errors(text: str):
    journal.write("error", text)


dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}


@broker.subscriber(RabbitQueue("rejected", arguments=dead), ack_policy=AckPolicy.REJECT_ON_ERROR)
async def rejected(text: str):
    raise ValueError(text)


retried = RabbitQueue("retried", queue_type=QueueType.QUORUM, arguments={"x-delivery-limit": 2, **dead})


@broker.subscriber(retried, ack_policy=AckPolicy.NACK_ON_ERROR)
async def nacked(text: str, message: RabbitMessage):
    journal.write("nacked", message.headers.get("x-delivery-count", 0))
    raise ValueError(text)


@broker.subscriber("held", ack_policy=AckPolicy.ACK, channel=Channel(prefetch_count=1))
async def held(text: str, message: RabbitMessage):
    journal.write("held", os.environ["NAME"], message.raw_message.redelivered)
    await journal.wait_for_async("released")
    journal.write("done", os.environ["NAME"])


@broker.subscriber(
    RabbitQueue("history", queue_type=QueueType.STREAM),
    consume_args={"x-stream-offset": "first"},
    channel=Channel(prefetch_count=5),
)
async def history(number: int):
    journal.write("history", number)
