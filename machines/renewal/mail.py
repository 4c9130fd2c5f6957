"""A mail over SMTP, sent so that it is known for as long as possible that it has not been."""

from __future__ import annotations

import smtplib
import ssl
from contextlib import closing, suppress
from email.message import EmailMessage
from email.policy import SMTP

from statemachine import Call, Reply, ToolFailure

_PATIENCE = 10.0
"""Seconds to wait for each of the server's answers."""


def send(
    smtp: str, sender: str, to: str, subject: str, text: str, password: str, call: Call
) -> Reply[str | None]:
    """Send the mail, unless the server refuses it, and return its ``Message-ID``.

    Until the message itself is on its way, whatever goes wrong means that it was not sent. From then on only the
    server's own answer tells (RFC 5321, section 4.5.3.2.6); without one nobody knows. If a person then says that it
    was sent, there may be no ``Message-ID`` to tell.

    Raises:
        SMTPResponseException: The server refused it, for now (4yz) or for good (5yz).
        SMTPRecipientsRefused: The same, of the address.
        ToolFailure: The server is not there (``transient``), has gone before it answered (``in_doubt``), or wants the
            password on a line that others can read (``permission``).
    """
    host, _, port = smtp.rpartition(":")
    message = _written(sender, to, subject, text, call.key)
    on_its_way = False
    try:
        with closing(smtplib.SMTP(host, int(port), timeout=_PATIENCE)) as server:
            _introduce(server, host, sender, password)
            code, answer = server.mail(sender)
            if code != 250:
                raise smtplib.SMTPSenderRefused(code, answer, sender)
            code, answer = server.rcpt(to)
            if code not in (250, 251):
                raise smtplib.SMTPRecipientsRefused({to: (code, answer)})
            on_its_way = True
            code, answer = server.data(message.as_bytes(policy=SMTP))
            if code != 250:
                raise smtplib.SMTPDataError(code, answer)
            with suppress(
                smtplib.SMTPException, OSError
            ):  # it has the mail: how it says good-bye is all the same
                server.quit()
    except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused):
        raise
    except (TimeoutError, ConnectionError, smtplib.SMTPServerDisconnected) as error:
        if on_its_way:
            raise ToolFailure(
                "in_doubt", f"{smtp} has gone without saying whether it took the mail"
            ) from error
        raise ToolFailure("transient", f"{smtp} does not answer; nothing was sent: {error}") from error
    return Reply(str(message["Message-ID"]), cost={"mails": 1})


def _introduce(server: smtplib.SMTP, host: str, sender: str, password: str) -> None:
    """Say who we are, encrypted if the server can, and log in if it asks for that."""
    server.ehlo_or_helo_if_needed()
    private = host in ("localhost", "127.0.0.1", "::1")
    if server.has_extn("starttls"):
        server.starttls(context=ssl.create_default_context())
        server.ehlo()
        private = True
    if server.has_extn("auth"):
        if not private:
            raise ToolFailure("permission", f"{host} wants the password on a line that others can read")
        server.login(sender, password)


def _written(sender: str, to: str, subject: str, text: str, key: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    # Whoever gets the mail twice all the same can tell by this.
    message["Message-ID"] = f"<{key.replace(':', '.')}@{sender.rpartition('@')[2]}>"
    message.set_content(f"{text}\n")
    return message
