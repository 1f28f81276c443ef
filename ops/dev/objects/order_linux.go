package objects

import "golang.org/x/sys/unix"

// keepsOrder tells whether the file system at path commits the names given to a file with the sync of the file: ext4 and XFS through their
// journals, in the order of the changes (ext4 without a journal syncs the directories itself), Btrfs through its log of new names. A
// directory synced after the file would wait for a second commit there, for what others put in it meanwhile.
func keepsOrder(path string) bool {
	var fs unix.Statfs_t
	if unix.Statfs(path, &fs) != nil {
		return false
	}
	switch int64(fs.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC:
		return true
	}
	return false
}
