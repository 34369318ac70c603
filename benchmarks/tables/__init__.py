"""Tables: the pruned network beside boosted trees and other models for tables."""
