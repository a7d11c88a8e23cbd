"""The agency: the far side of MQTT. Receive, verify, commit, answer with a signed receipt; approve, revoke, report."""
