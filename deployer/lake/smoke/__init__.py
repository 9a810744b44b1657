"""The smoke test: fixtures with a known answer go through the deployed job and the deployed SQL, beside the live tables.

It may write below the smoke prefix only. It gives a verdict; what that means for a release is decided in `deploying/`.
"""
