"""Completions of CloudFormation and of what stacks are made of."""
