"""AWS Transfer Family: the SFTP server writes through S3, with the permissions of its user's role.

resource_types  AWS::Transfer::Server and ::User, and what DescribeServer shows of a server
service         the emulator's server gets our files; its host key becomes its fingerprint
sftp_files      what a client sees and does: files are objects, put when they are closed, saved before the client hears it
user_rights     what a user may do: its role and its session policy, both
server_log      the server's structured log
trial_user      the user that a local environment has without being asked; its key is made by the client

The connection, its keys and the logical homes stay the emulator's.
"""
