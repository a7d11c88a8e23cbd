"""The network: MQTT, what is published and what comes in. No card, no panel, no event key."""
