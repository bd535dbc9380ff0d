"""Discrete elements: grains and powders followed one by one."""
