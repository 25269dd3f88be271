"""What tests of SIP programs need: a simulated network, scripted peers, contract suites for the seams.

- ``network``, ``node``, ``streams``, ``nat``: the network; a node is a reactor, time is a task.Clock, chance is a seed.
- ``peer``: peers that send and expect single messages, over UDP and TCP.
- ``phone`` with ``behaviour``: phones that register, call and are called by themselves; ``server``: a registrar and
  proxy that can crash and come back; ``agreement``: do both ends of every call say the same?
- ``play``: a whole play written by a seed; ``heckler``: a stranger who disturbs it.
- ``fake_dns``, ``slow_dns``, ``slow_disk``: DNS and disks of the simulation.
- ``observation``: failures that were logged and not raised.
- ``location_contract``: the suite that every location store has to pass.

Nothing outside of tests imports this package.
"""
