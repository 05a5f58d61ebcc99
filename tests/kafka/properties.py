# SPDX-License-Identifier: Apache-2.0
"""The configuration files of a test broker: a node that is broker and controller, small and quick to react.

A broker that comes back is let in only when the session of its former life has ended: 9 s, unless told otherwise.
"""

USERS = {"alice": "alice-secret", "admin": "admin-secret"}
SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
LISTENERS = ("PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL", "SSL")

_BASE = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listeners}
log.dirs={directory}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
num.network.threads=1
num.io.threads=2
num.recovery.threads.per.data.dir=1
log.cleaner.dedupe.buffer.size=2097152
log.cleaner.threads=1
log.cleaner.backoff.ms=500
log.initial.task.delay.ms=500
log.retention.check.interval.ms=500
log.segment.delete.delay.ms=500
controlled.shutdown.enable=false
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=200
"""
# Newer brokers only; older ones would warn.
_SHARE = """\
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
"""
# Without a rule everybody may do everything, so that a test takes away what it wants gone. PLAINTEXT may do anything.
_ACLS = """\
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
super.users=User:ANONYMOUS
"""
_TLS = """\
ssl.keystore.type=PEM
ssl.keystore.location={server}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
listener.name.ssl.ssl.client.auth=required
listener.name.ssl.ssl.principal.mapping.rules=RULE:^CN=(.*)$/$1/
"""
_SECURITY = "org.apache.kafka.common.security."

_LOG4J = """\
log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %p %c{1} %m%n
"""
_LOG4J2 = """\
rootLogger.level=INFO
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %c{1} %m%n
"""


def _sasl(listener):
    """Every mechanism on one listener. Tokens are believed unsigned: the broker's own validator for development."""
    prefix = f"listener.name.{listener.lower()}."
    plain = " ".join(f'user_{user}="{password}"' for user, password in USERS.items())
    lines = [f"{prefix}sasl.enabled.mechanisms={','.join((*SCRAM, 'PLAIN', 'OAUTHBEARER'))}",
             f"{prefix}plain.sasl.jaas.config={_SECURITY}plain.PlainLoginModule required {plain};",
             f"{prefix}oauthbearer.sasl.jaas.config={_SECURITY}oauthbearer.OAuthBearerLoginModule required;",
             f"{prefix}oauthbearer.sasl.server.callback.handler.class="
             f"{_SECURITY}oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler"]
    lines += [f"{prefix}{mechanism.lower()}.sasl.jaas.config={_SECURITY}scram.ScramLoginModule required;"
              for mechanism in SCRAM]
    return "\n".join(lines) + "\n"


def server_properties(broker):
    listeners = ",".join(f"{name}://127.0.0.1:{broker.ports[name]}" for name in broker.listeners)
    text = _BASE.format(node=broker.node, voters=",".join(broker.voters), controller=broker.ports["CONTROLLER"],
                        listeners=listeners, directory=broker.directory)
    if broker.major >= 4:
        text += _SHARE
    if broker.acls:
        text += _ACLS
    if broker.certificates:
        text += _TLS.format(server=broker.certificates.server, authority=broker.certificates.authority)
    text += "".join(_sasl(name) for name in broker.listeners if name.startswith("SASL"))
    return text + "".join(f"{name}={value}\n" for name, value in broker.properties.items())


def logging_properties(major):
    """(file name, content, the JVM's option that names it)."""
    if major >= 4:
        return "log4j2.properties", _LOG4J2, "-Dlog4j2.configurationFile="
    return "log4j.properties", _LOG4J, "-Dlog4j.configuration=file:"


def client_settings(broker, listener, mechanism, user, password):
    """How a client reaches a listener, in librdkafka's words (kcat's -X, and ours)."""
    settings = {"bootstrap.servers": broker.address(listener), "security.protocol": listener.lower()}
    if listener.endswith("SSL"):
        settings["ssl.ca.location"] = str(broker.certificates.authority)
    if listener == "SSL":
        settings["ssl.certificate.location"] = str(broker.certificates.certificate(user))
        settings["ssl.key.location"] = str(broker.certificates.key(user))
    if listener.startswith("SASL"):
        settings["sasl.mechanism"] = mechanism
        if mechanism == "OAUTHBEARER":
            settings["enable.sasl.oauthbearer.unsecure.jwt"] = "true"
            settings["sasl.oauthbearer.config"] = f"principal={user}"
        else:
            settings["sasl.username"] = user
            settings["sasl.password"] = USERS.get(user, "") if password is None else password
    return settings
