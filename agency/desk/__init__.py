"""The desk: certificates, enrolment, rosters and documents. The only place that signs documents."""
