import pika
import pika.exceptions

from harness import scenario


@scenario
def wrong_password_403(broker):
    wrong = pika.PlainCredentials(broker.parameters().credentials.username, "wrong")
    try:
        broker.connect(credentials=wrong)
    except pika.exceptions.ProbableAuthenticationError as error:
        expected = ("(403) 'ACCESS_REFUSED - Login was refused using authentication mechanism "
                    "PLAIN. For details see the broker logfile.'")
        assert expected in str(error), error
    else:
        raise AssertionError("the login was accepted")


@scenario
def unknown_vhost_530(broker):
    vhost = broker.name("vhost")
    try:
        broker.connect(virtual_host=vhost)
    except pika.exceptions.ProbableAccessDeniedError as error:
        assert f"(530) 'NOT_ALLOWED - vhost {vhost} not found'" in str(error), error
    else:
        raise AssertionError("the vhost was opened")
