"""What tests of SIP programs need: a simulated network, scripted peers, contract suites for the seams."""
