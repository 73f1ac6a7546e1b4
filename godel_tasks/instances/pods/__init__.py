"""Instances as pods of a StatefulSet or a Deployment."""
